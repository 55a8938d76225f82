"""A program to run under the guard: the one description that engines, migrations and services share."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.local import guard


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group a program runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how. `environment` is complete: nothing of ours is inherited. `pid_file` holds the
    program's process id while it runs; `stop_signal` asks it to end cleanly."""

    name: str
    command: tuple[str, ...]
    pid_file: Path
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    folder: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    def guarded(self) -> tuple[str, ...]:
        """The command line that runs it under the guard. Standard input must be a pipe: its end ends all."""
        account = self.account or Account(-1, -1)
        return (
            sys.executable,
            "-I",
            "-S",
            guard.__file__,
            str(account.uid),
            str(account.gid),
            str(self.pid_file),
            str(int(self.stop_signal)),
            *self.command,
        )


def engine_environment() -> dict[str, str]:
    """The environment of an engine: the user's locale, time zone and PG* variables must not reach it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
