"""What a process uses, read when the metrics are read: its memory, its connections to Postgres."""

import os
import resource
from pathlib import Path
from typing import Protocol

from headrace.runtime.metrics import Metrics

_STATM = Path("/proc/self/statm")
_CGROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NO_LIMIT = 1 << 60
"""What the older kind of control group says where there is no limit is near 2^63."""


class PoolSize(Protocol):
    """What is asked of asyncpg's pool."""

    def get_size(self) -> int: ...

    def get_idle_size(self) -> int: ...

    def get_max_size(self) -> int: ...


def watch_process(metrics: Metrics) -> None:
    """Memory and its limit, from now on."""
    metrics.memory.set_function(resident_bytes)
    metrics.memory_limit.set(memory_limit(_read_limit()))


def watch_pool(metrics: Metrics, pool: PoolSize) -> None:
    """How much of the pool is in use, from now on."""
    metrics.connections.set_function(lambda: pool.get_size() - pool.get_idle_size())
    metrics.connections_limit.set(pool.get_max_size())


def resident_bytes() -> int:
    """The process' resident memory; where the kernel does not tell it (macOS), the most it ever was."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_limit(text: str | None) -> int:
    """What a control group's file says, in bytes; 0 for no limit."""
    if text is None or not text.strip().isdigit():
        return 0
    limit = int(text)
    return limit if limit < _NO_LIMIT else 0


def _read_limit() -> str | None:
    for path in _CGROUPS:
        try:
            return path.read_text(encoding="ascii")
        except OSError:
            continue
    return None
