"""Debian's Redis as the segment state has it."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from headrace.local.ports import free_port
from headrace.local.valkey import Valkey
from tests import engines

_DATABASES = 1000


@contextlib.contextmanager
def redis(server: Path) -> Iterator[Valkey]:
    """A running Redis, configured as the embedded Valkey is, with a database for each of many tests."""
    with engines.data_folder() as folder:
        engine = Valkey("redis", folder / "redis", free_port(), secrets.token_urlsafe(16), "everysec")
        program = engine.prepare(folder)
        command = (str(server), *program.command[1:], "--databases", str(_DATABASES))
        with engines.running(replace(program, command=command), engine.answers):
            yield engine
