"""Engines of a fault platform: servers that die and come back on the same port and data, behind proxies."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from headrace.local.account import unprivileged_account
from headrace.local.binaries import postgres_server
from headrace.local.placement import place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from headrace.local.program import Program
from headrace.local.valkey import Valkey
from tests import engines
from tests.e2e.wait import wait_until

_PASSWORD = "for-tests-only"
# a kill loses nothing that was written; only a power cut would
_POSTGRES = (("fsync", "off"), ("full_page_writes", "off"), ("max_connections", "200"))


class Server:
    """An engine as a child process. `url` is its own address, without a proxy."""

    def __init__(self, url: str, prepare: Callable[[], Program], answers: Callable[[], bool]) -> None:
        self.url = url
        self._prepare = prepare
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None
        self._pid_file = Path()

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it serves. Idempotent."""
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

    def kill(self) -> float:
        """kill -9; the moment of it. Nothing of it is left when this returns."""
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        moment = time.time()
        self._ended()
        return moment

    def stop(self) -> None:
        """Idempotent."""
        if self._process is not None and self.running:
            self._process.terminate()
            self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait(20)
        if self._process.stdin is not None:
            self._process.stdin.close()


def behind(url: str, port: int) -> str:
    """The same engine at another port of this machine."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))


def valkey(name: str, folder: Path, *, durable: bool) -> Server:
    """As `headrace up` runs it. `durable`: every write is fsynced."""
    engine = Valkey(name, folder / name, free_port(), _PASSWORD, "always" if durable else "everysec")
    return Server(engine.url, lambda: engine.prepare(folder), engine.answers)


def postgres(folder: Path) -> Server:
    account = unprivileged_account()
    placement = place(folder / "postgres", folder.name, postgres_server(), account)
    engine = Postgres(placement, free_port(), _PASSWORD, account, _POSTGRES)
    engines.initialize(engine, folder)
    return Server(engine.url, lambda: engine.prepare(folder), engine.answers)


def roll_back(server: Server, data: Path, copy: Path) -> float:
    """Start a killed server again on the older files of `copy`; the moment it serves."""
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    server.start()
    return time.time()
