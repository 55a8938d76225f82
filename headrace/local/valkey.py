"""An embedded Valkey: one for the event log (every append fsynced), one for the segment state."""

import contextlib
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from headrace.local.binaries import valkey_server
from headrace.local.program import Program, engine_environment

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
daemonize no
logfile ""
save ""
appendonly yes
appendfsync {fsync}
maxmemory-policy noeviction
maxmemory {memory}mb
"""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey whose files are in `folder`. When its data takes `memory_mb` it refuses more (0: no limit).
    `variable` is the URL that would replace it."""

    name: str
    folder: Path
    port: int
    password: str = field(repr=False)
    fsync: Literal["always", "everysec"]
    memory_mb: int = 0
    variable: str = "HEADRACE_REDIS_URL"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self, run: Path) -> Program:
        """Write the configuration (it has the password: 0600) and say how to run the server."""
        server = valkey_server(self.variable)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "valkey.conf"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(
                _CONFIGURATION.format(
                    port=self.port, password=self.password, fsync=self.fsync, memory=self.memory_mb
                )
            )
        return Program(
            name=self.name,
            command=(str(server), path.name),
            pid_file=run / f"{self.name}.pid",
            environment=engine_environment(),
            folder=self.folder,
        )

    def answers(self) -> bool:
        """Whether it serves (and is not still loading its data)."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (received := connection.recv(256)):
                answer += received
            return answer == b"+OK\r\n+PONG\r\n"
        return False
