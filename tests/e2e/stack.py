"""A whole Headrace for tests: `headrace up` as a process of its own, on free ports with temporary data."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from headrace.contracts.topics import Topic
from headrace.local.ports import free_port
from tests import deployment
from tests.e2e.wait import wait_until

UP = (sys.executable, "-m", "headrace.cli.main", "up")
SERVICES = ("ingest", "profiles", "segmenter", "messenger", "console")
_READY_LINE = "Headrace is ready"
# apart from where engines find theirs: a port that is ours while nothing listens on it must stay ours
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_PORTS = (10_000 + 1_000 * _WORKER, 10_999 + 1_000 * _WORKER)
# a test run that is killed takes its stacks along
_TIED = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
UNLIMITED = {
    "HEADRACE_RATE_ADMIN_FAILURES": "off",
    "HEADRACE_RATE_REFUSED_LINKS": "off",
    "HEADRACE_RATE_LINK": "off",
}
"""For a stack of which many tests ask with wrong tokens and links: they all have one address."""


class Stack:
    """Runs while the context lasts, on the servers that the environment names, else on embedded ones (see
    tests/servers). `env` has what it was started with; `output` is the file that has all it said. With `data_dir`
    it uses that folder and leaves it; else a temporary one, removed at the end."""

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        *,
        data_dir: Path | None = None,
        command: Sequence[str] = UP,
    ) -> None:
        self._command = command
        self.prefix: tuple[str, ...] = ()
        """A command that runs the command after it, e.g. as another user."""
        self._temporary = None if data_dir else _temporary_folder()
        self.data_dir = data_dir or Path(f"{self._temporary}/data")
        self.output = self.data_dir.with_name(f"{self.data_dir.name}.output")
        self.write_key = "test-write-key"
        self.admin_token = "test-admin-token"
        self.ports = _free_ports(SERVICES)
        self._place = contextlib.ExitStack()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
            "HEADRACE_DATA_DIR": str(self.data_dir),
            "HEADRACE_WRITE_KEY": self.write_key,
            "HEADRACE_ADMIN_TOKEN": self.admin_token,
            "HEADRACE_HOOK_TOKEN": "hook-token",
            **{f"HEADRACE_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            **self._place.enter_context(deployment.on_given_servers()),
            **(env or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._returns: dict[str, int] = {}

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove()

    def start(self) -> None:
        """Return when every service is ready. Raises AssertionError with the output when that fails."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_bytes(b"")
        self._returns.clear()
        self.launch()
        try:
            wait_until(self._ready_or_gone, _START_SECONDS, what="the stack to be ready")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.said()}") from None
        if _READY_LINE not in self.said():
            raise AssertionError(f"`headrace up` ended at its start:\n{self.said()}")

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it without waiting for anything."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                (*self.prefix, *_TIED, *self._command),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as Ctrl-C or `kill` does; its exit code. Idempotent; 0 when never started."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"`headrace up` did not stop:\n{self.said()}") from None

    def restart(self) -> None:
        """Stop and start again on the same data and ports."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Remove the temporary data."""
        self._place.close()
        self.output.unlink(missing_ok=True)
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def said(self) -> str:
        """Everything it wrote to standard output and error since the last start."""
        return self.output.read_text("utf-8", "replace") if self.output.exists() else ""

    def pids(self) -> dict[str, int]:
        """Process ids of the services and engines that run now, by name."""
        found = {}
        for path in self.data_dir.glob("run/*.pid"):
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                found[path.stem] = int(path.read_text())
        return found

    def kill_service(self, name: str) -> int:
        """kill -9 the service or engine `name`, which `up` then starts again; the process id it had."""
        pid = wait_until(lambda: self.pids().get(name), what=f"{name} to run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, killed: int, timeout: float = 30.0) -> int:
        """Wait until `name` serves again after `kill_service` returned `killed`; its new process id."""
        wait_until(lambda: self.pids().get(name, killed) != killed, timeout, what=f"a new {name}")
        back = f"{name} is back"
        wait_until(lambda: self.said().count(back) > self._returns.get(name, 0), timeout, what=back)
        self._returns[name] = self.said().count(back)
        return self.pids()[name]

    def setting(self, name: str) -> str:
        """An environment variable as `up` gave it to its services."""
        environment = Path(f"/proc/{self.pids()['ingest']}/environ").read_text()
        found = re.search(rf"(?:^|\0){name}=([^\0]+)", environment)
        assert found is not None, f"{name} is not set"
        return found[1]

    def topic(self, topic: Topic) -> str:
        """The topic's full name."""
        return self.env.get("HEADRACE_TOPIC_PREFIX", "") + topic.name

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    @property
    def ingest_url(self) -> str:
        return self.url("ingest")

    @property
    def profiles_url(self) -> str:
        return self.url("profiles")

    @property
    def segmenter_url(self) -> str:
        return self.url("segmenter")

    @property
    def messenger_url(self) -> str:
        return self.url("messenger")

    @property
    def outbox(self) -> Path:
        """Where messages land while no provider is set."""
        return self.data_dir / "outbox"

    def _ready_or_gone(self) -> bool:
        return _READY_LINE in self.said() or (self.process is not None and self.process.poll() is not None)


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """A port for each, no two the same."""
    ports: dict[int, None] = {}
    while len(ports) < len(names):
        ports[free_port(*_PORTS)] = None
    return dict(zip(names, ports, strict=True))


def _temporary_folder() -> Path:
    """Outside pytest's own folders, which are closed to the account that Postgres runs as."""
    path = Path(tempfile.mkdtemp(prefix="headrace-test-"))
    path.chmod(0o711)
    return path
