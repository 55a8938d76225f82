"""An embedded PostgreSQL: made by initdb once, then run in the foreground as our child."""

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headrace.local.errors import StartFailed
from headrace.local.placement import Placement
from headrace.local.program import Account, Program, engine_environment

USER = "headrace"
DATABASE = "postgres"

# What an error quotes (values, statements) is about customers; the services log its code. `log` stands above
# `error` here: what the server says of itself stays, and what ends it.
DISCREET = {
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "cluster_name": "headrace",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_checkpoints": "off",
    **DISCREET,
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A cluster at `placement.cluster`, run as `account` (None: as ourselves). `settings` adds to ours."""

    placement: Placement
    port: int
    password: str = field(repr=False)
    account: Account | None = None
    settings: tuple[tuple[str, str], ...] = ()
    name: str = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def initialized(self) -> bool:
        return (self.placement.cluster / "PG_VERSION").exists()

    @contextlib.contextmanager
    def initialization(self, run: Path) -> Iterator[Program]:
        """The initdb program to run inside the context. It works in a folder of a temporary name that becomes
        the cluster only when the context ends without an error, so that an interrupted one leaves nothing."""
        partial = self.placement.cluster.with_name("cluster.partial")
        password_file = partial.with_name("password.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        self._own(partial)
        try:
            with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(self.password)
            self._own(password_file)
            yield self._program(
                "initdb",
                run,
                str(self.placement.server.with_name("initdb")),
                f"--pgdata={partial}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
            )
            partial.rename(self.placement.cluster)
        finally:
            password_file.unlink(missing_ok=True)

    def prepare(self, run: Path) -> Program:
        """Say how to run the server. SIGINT is Postgres' fast stop: sessions end, nothing is lost.

        Raises StartFailed when a server runs on this cluster already.
        """
        self._forget_dead_server()
        settings = {**_SETTINGS, "port": str(self.port), **dict(self.settings)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._program(
            self.name, run, str(self.placement.server), "-D", str(self.placement.cluster), *options
        )

    def answers(self) -> bool:
        """Whether it serves: the last line of postmaster.pid says so, as pg_ctl reads it."""
        try:
            lines = (self.placement.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _forget_dead_server(self) -> None:
        """Remove a postmaster.pid left by a kill: its process id may be another program's by now, and Postgres
        would then refuse to start."""
        path = self.placement.cluster / "postmaster.pid"
        try:
            pid = int(path.read_text().split()[0])
            # a Postgres server's working directory is its cluster
            running = os.path.samefile(f"/proc/{pid}/cwd", self.placement.cluster)
        except (OSError, ValueError, IndexError):
            running = False
        if running:
            raise StartFailed(
                f"a Postgres server (process {pid}) already runs on {self.placement.cluster}: stop it"
            )
        path.unlink(missing_ok=True)

    def _own(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def _program(self, name: str, run: Path, *command: str) -> Program:
        return Program(
            name=name,
            command=command,
            pid_file=run / f"{name}.pid",
            environment=engine_environment(),
            folder=self.placement.cluster.parent,
            account=self.account,
            stop_signal=signal.SIGINT,
        )
