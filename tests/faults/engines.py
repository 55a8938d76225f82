"""Engines of a fault platform: servers that die and come back on the same port and data, behind proxies.

They are of the kinds that the environment names (see tests/servers), else the embedded ones.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from headrace.local import binaries
from headrace.local.account import unprivileged_account
from headrace.local.placement import place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from headrace.local.program import Program
from headrace.local.valkey import Valkey
from tests import engines
from tests.e2e.wait import wait_until
from tests.kafka.archive import fast_jvm
from tests.kafka.broker import Broker
from tests.servers import DATABASE_URL, LOG_URL, REDIS_URL, programs

APPEND: tuple[bytes, ...] = (b"ce_specversion",)
"""In what is appended to a log; what is read carries it the other way."""
_TRANSITIONS = (b"EVALSHA", b":members:")
_COMMIT = (b"COMMIT",)
_PASSWORD = "for-tests-only"
# a kill loses nothing that was written; only a power cut would
_POSTGRES = (("fsync", "off"), ("full_page_writes", "off"), ("max_connections", "200"))


class Engine(Protocol):
    """`url` is its own address; `proxied_url` that of the proxy which passes from `proxy_port` on to `port`.
    `request` is what tells a commit on its way there from other requests."""

    url: str
    proxied_url: str
    port: int
    proxy_port: int
    request: tuple[bytes, ...]

    def start(self) -> None:
        """Return when it serves. Idempotent."""
        ...

    def kill(self) -> None:
        """kill -9; nothing of it is left when this returns."""
        ...

    def stop(self) -> None:
        """For good. Idempotent."""
        ...


class Server:
    """An engine that is one process at one port. See `Engine`."""

    def __init__(
        self, url: str, request: tuple[bytes, ...], prepare: Callable[[], Program], answers: Callable[[], bool]
    ) -> None:
        port = urlsplit(url).port
        assert port is not None
        self.url, self.port, self.request = url, port, request
        self.proxy_port = free_port()
        self.proxied_url = _at(url, self.proxy_port)
        self._prepare = prepare
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None
        self._pid_file = Path()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.running:
            return
        program = self._prepare()
        self._pid_file = program.pid_file
        with Path(f"{program.pid_file}.log").open("ab") as output:
            self._process = subprocess.Popen(
                program.guarded(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,
            )
        wait_until(self._answers, 60, what=f"{program.name} to serve")

    def kill(self) -> None:
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        if self._process is not None and self.running:
            self._process.terminate()
            self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait(20)
        if self._process.stdin is not None:
            self._process.stdin.close()


class Kafka:
    """A broker whose clients come through the proxy: it tells them to. See `Engine`."""

    request: tuple[bytes, ...] = APPEND

    def __init__(self, folder: Path) -> None:
        self.port, self.proxy_port = free_port(), free_port()
        settings = {"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT"}
        self.broker = Broker(folder, fast_jvm(), listeners={"PROXIED": self.port}, settings=settings)
        settings["advertised.listeners"] = (
            f"PLAINTEXT://{self.broker.address},PROXIED://127.0.0.1:{self.proxy_port}"
        )
        self.url = self.broker.url
        self.proxied_url = f"kafka://127.0.0.1:{self.proxy_port}"

    def start(self) -> None:
        if not self.broker.running:
            self.broker.start()

    def kill(self) -> None:
        self.broker.kill()

    def stop(self) -> None:
        if self.broker.running:
            self.broker.kill()


def event_log(folder: Path) -> Engine:
    """Kafka, or the embedded log, whose every write is fsynced."""
    if not os.environ.get(LOG_URL, "").startswith("kafka"):
        return _valkey("log", folder, durable=True)
    (own := folder / "kafka").mkdir()
    return Kafka(own)


def state(folder: Path) -> Engine:
    """The segmenter's Redis."""
    return _valkey("state", folder, durable=False)


def state_files(folder: Path) -> Path:
    """Where it keeps them."""
    return folder / "state" / "appendonlydir"


def postgres(folder: Path) -> Engine:
    account = unprivileged_account()
    server = programs.postgres_server() if os.environ.get(DATABASE_URL) else binaries.postgres_server()
    placement = place(folder / "postgres", folder.name, server, account)
    engine = Postgres(placement, free_port(), _PASSWORD, account, _POSTGRES)
    engines.initialize(engine, folder)
    return Server(engine.url, _COMMIT, lambda: engine.prepare(folder), engine.answers)


def roll_back(engine: Engine, data: Path, copy: Path) -> float:
    """Start a killed engine again on the older files of `copy`; the moment it serves."""
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    engine.start()
    return time.time()


def _valkey(name: str, folder: Path, *, durable: bool) -> Server:
    """As `headrace up` runs it."""
    engine = Valkey(name, folder / name, free_port(), _PASSWORD, "always" if durable else "everysec")

    def prepare() -> Program:
        program = engine.prepare(folder)
        if durable or not os.environ.get(REDIS_URL):
            return program
        return replace(program, command=(str(programs.redis_server()), *program.command[1:]))

    return Server(engine.url, APPEND if durable else _TRANSITIONS, prepare, engine.answers)


def _at(url: str, port: int) -> str:
    """The same at another port of this machine."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))
