"""One Kafka broker as a child process, which a test may kill, stop and start again on its data and port."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from headrace.local.ports import free_port
from headrace.local.program import Program, engine_environment
from tests import engines
from tests.e2e.wait import wait_until
from tests.kafka import admin
from tests.kafka.jvm import BROKER, STORAGE_TOOL, Jvm

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
_STOP_SECONDS = 30.0

# Topics are made by whom they belong to. Groups wait for nobody. A broker that died is missed soon:
# until then its successor on the same data is refused. What a test never fills stays small.
_SETTINGS = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "200",
    "broker.session.timeout.ms": "1500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.io.threads": "2",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "1",
}
_REPLICATED = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "share.coordinator.state.topic.replication.factor",
    "transaction.state.log.replication.factor",
)
_IN_SYNC = (
    "min.insync.replicas",
    "share.coordinator.state.topic.min.isr",
    "transaction.state.log.min.isr",
)


class Broker:
    """A broker that is its own controller, or one of a quorum: `quorum` maps each node's id to its controller's
    port. `listeners` maps names of further listeners, which `settings` describe, to their ports. All its files are
    in `folder`. Entering its context starts it, leaving kills it."""

    def __init__(
        self,
        folder: Path,
        jvm: Jvm,
        *,
        node: int = 1,
        quorum: Mapping[int, int] | None = None,
        listeners: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.node = node
        self.port = free_port()
        self._folder = folder
        self._jvm = jvm
        self._quorum = quorum or {node: free_port()}
        self._listeners = listeners or {}
        self._settings = settings or {}
        self._running = contextlib.ExitStack()
        self._configuration = folder / "server.properties"
        self._program = Program(
            f"kafka-{node}",
            jvm.command(BROKER, str(self._configuration)),
            folder / "kafka.pid",
            engine_environment(),
            folder,
            stop_signal=signal.SIGKILL,  # its data is thrown away; `stop` is the clean way
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What HEADRACE_LOG_URL would be."""
        return f"kafka://{self.address}"

    @property
    def data(self) -> Path:
        """The folder of its partitions."""
        return self._folder / "data"

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return int(self._program.pid_file.read_text())

    @property
    def running(self) -> bool:
        return self._program.pid_file.exists()

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def start(self) -> None:
        """Start it on the data it has; return when it serves. Raises RuntimeError with what it said."""
        if not self._configuration.exists():
            self._format()
        self._running.enter_context(engines.running(self._program, self.answers))

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        self._signal(signal.SIGKILL)
        self._running.close()

    def stop(self) -> None:
        """Stop it cleanly: it hands its leaderships over first."""
        self._signal(signal.SIGTERM)
        wait_until(lambda: not self.running, _STOP_SECONDS, what=f"broker {self.node} to stop")
        self._running.close()

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def answers(self) -> bool:
        """Whether it says of itself that it serves."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return self.node in admin.live_brokers(self.address)
        return False

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _format(self) -> None:
        """Write the configuration and let Kafka make its folder. The configuration's name says that it is done."""
        partial = self._configuration.with_suffix(".partial")
        lines = (f"{name}={value}\n" for name, value in self._properties().items())
        partial.write_text("".join(lines), encoding="ascii")
        command = self._jvm.command(STORAGE_TOOL, "format", "-t", CLUSTER_ID, "-c", str(partial))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"broker {self.node} could not be formatted:\n{done.stdout}{done.stderr}")
        partial.rename(self._configuration)

    def _properties(self) -> dict[str, str]:
        nodes = len(self._quorum)
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in self._quorum.items())
        ours = {"PLAINTEXT": self.port, "CONTROLLER": self._quorum[self.node], **self._listeners}
        return {
            **_SETTINGS,
            **dict.fromkeys(_REPLICATED, str(nodes)),
            **dict.fromkeys(_IN_SYNC, str(min(2, nodes))),
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ours.items()),
            "log.dirs": str(self.data),
            **self._settings,
        }
