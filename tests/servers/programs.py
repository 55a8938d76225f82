"""Where Debian keeps the servers' programs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.packages import Missing

OLDEST_POSTGRES = 15
OLDEST_REDIS = 7


def postgres_server() -> Path:
    """The newest postgres program with initdb beside it. Raises Missing when there is none or it is too old."""
    newest = max(((_major(program), program) for program in _postgres_programs()), default=None)
    if newest is None or newest[0] < OLDEST_POSTGRES:
        found = f"found {newest[0]}" if newest else "found none"
        raise Missing(f"the tests need PostgreSQL {OLDEST_POSTGRES} or newer, {found}", "postgresql")
    return newest[1]


def redis_server() -> Path:
    """The redis-server program. Raises Missing when there is none or it is too old."""
    program = shutil.which("redis-server")
    if program is None or _major(Path(program)) < OLDEST_REDIS:
        found = f"found {_major(Path(program))}" if program else "found none"
        raise Missing(f"the tests need Redis {OLDEST_REDIS} or newer, {found}", "redis-server")
    return Path(program)


def _postgres_programs() -> Iterator[Path]:
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve())
    return (program for program in candidates if program.with_name("initdb").exists())


def _major(program: Path) -> int:
    """The first number of its version, as `postgres (PostgreSQL) 15.13` and `Redis server v=7.0.15` say it."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"(\d+)\.\d", said)
    return int(number[1]) if number else 0
