"""Engines for tests: the embedded ones, on free ports with data in a temporary folder that is removed."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from headrace.local.account import unprivileged_account
from headrace.local.binaries import postgres_server
from headrace.local.placement import place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from headrace.local.program import Program
from headrace.local.valkey import Valkey

# data of a test is thrown away: no fsync, which is most of the cost on a slow disk
FAST = (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"), ("max_connections", "300"))


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary folder that the account Postgres runs as can pass (pytest's own is closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="headrace-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(program: Program, answers: Callable[[], bool], timeout: float = 60.0) -> Iterator[None]:
    """Run an engine under its guard while the context lasts."""
    log = Path(f"{program.pid_file}.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            program.guarded(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(program.environment),
            cwd=program.folder,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + timeout
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{program.name} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.stdin is not None:
            process.stdin.close()
        process.wait(10)


@contextlib.contextmanager
def valkey(fsync: Literal["always", "everysec"] = "everysec", *, folder: Path | None = None) -> Iterator[Valkey]:
    """A running Valkey. Give the same `folder` again to start it once more on its data."""
    with contextlib.ExitStack() as stack:
        path = folder or stack.enter_context(data_folder())
        engine = Valkey("valkey", path / "valkey", free_port(), secrets.token_urlsafe(16), fsync)
        stack.enter_context(running(engine.prepare(path), engine.answers))
        yield engine


class OwnValkey:
    """A Valkey, as the event log has it, that a test may kill, stop for a while and start again on its data."""

    def __init__(self, folder: Path, memory_mb: int = 0) -> None:
        self.folder = folder
        self._valkey = Valkey("log", folder / "log", free_port(), secrets.token_urlsafe(16), "always", memory_mb)
        self._program = self._valkey.prepare(folder)
        self._running = contextlib.ExitStack()

    @property
    def url(self) -> str:
        return self._valkey.url

    def start(self) -> None:
        """Start it on the data it has; return when it serves."""
        self._program = self._valkey.prepare(self.folder)
        self._running.enter_context(running(self._program, self._valkey.answers))

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        self._signal(signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(int(self._program.pid_file.read_text()), number)


@contextlib.contextmanager
def own_valkey(*, memory_mb: int = 0) -> Iterator[OwnValkey]:
    """A running one, its data in a temporary folder. When that takes `memory_mb` it refuses more (0: no limit)."""
    with data_folder() as folder:
        engine = OwnValkey(folder, memory_mb)
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


@contextlib.contextmanager
def postgres(server: Path | None = None) -> Iterator[Postgres]:
    """A running Postgres with the settings of tests. `server` is the program, by default the embedded one."""
    with data_folder() as path:
        account = unprivileged_account()
        placement = place(path / "postgres", path.name, server or postgres_server(), account)
        engine = Postgres(placement, free_port(), secrets.token_urlsafe(16), account, FAST)
        initialize(engine, path)
        with running(engine.prepare(path), engine.answers):
            yield engine


def initialize(engine: Postgres, run: Path) -> None:
    """Make the cluster. Raises RuntimeError with initdb's words when that fails."""
    with engine.initialization(run) as program, Path(run, "initdb.log").open("w+b") as log:
        # unlike run(), Popen leaves the pipe open, which the guard takes for the supervisor's life
        with subprocess.Popen(
            program.guarded(), stdin=subprocess.PIPE, stdout=log, stderr=log, env=dict(program.environment)
        ) as process:
            code = process.wait(60)
        if code:
            raise RuntimeError(Path(log.name).read_text())
