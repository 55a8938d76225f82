"""CPU seconds of processes, and which core they run on.

What others do on the machine moves these less than a wall clock, yet they move: neighbours take caches and clock
rate. Compare only what ran in turns in one run.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_CORES = os.sched_getaffinity(0)  # as we were started: later we may keep ourselves on one of them


def server_core() -> int:
    """The core for what is measured."""
    return min(_CORES)


def client_core() -> int:
    """The core for what makes the load; the same when there is only one."""
    return max(_CORES)


def pin(pid: int, core: int) -> None:
    """Keep a process, its threads and all its descendants on one core; so do those it starts later."""
    for process in tree(pid):
        try:
            for thread in os.listdir(_PROC / str(process) / "task"):
                os.sched_setaffinity(int(thread), {core})
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents = dict(_parents())
    found = [pid]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def parent(pid: int) -> int:
    """Who started the process: a server's backend leads to the server."""
    return int(_stat(pid)[1])


def seconds(pid: int, *, apart_from: int | None = None) -> float:
    """CPU seconds of the process and its descendants until now, of those too that have ended and were waited
    for; of ended threads where the kernel does not tell threads' times. `apart_from`: a descendant, such as a
    server that we started, that does not count, nor do its own."""
    left_out = set(tree(apart_from)) if apart_from is not None else set()
    total = 0.0
    for process in tree(pid):
        if process in left_out:
            continue
        try:
            total += _running(process)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def idle() -> float:
    """Seconds for which cores had nothing to do, all together, since the machine was started."""
    fields = (_PROC / "stat").read_text().split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / _TICK  # waiting for a disk is no work of a core


def _running(pid: int) -> float:
    fields = [int(field) / _TICK for field in _stat(pid)[11:15]]  # utime, stime, and those of ended children
    threads = list((_PROC / str(pid) / "task").glob("*/schedstat"))
    if not threads:
        return sum(fields)
    # to the nanosecond, where stat counts ticks of 10 ms
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9 + sum(fields[2:])


@dataclass
class Spent:
    """CPU seconds of this process and of a server, and seconds on the clock, while `running`. What is compared is
    best run in turns: this machine is not as fast now as it will be in a second."""

    server: int
    own: float = 0.0
    servers: float = 0.0
    took: float = 0.0

    @property
    def total(self) -> float:
        return self.own + self.servers

    @contextmanager
    def running(self) -> Iterator[None]:
        own, servers = seconds(os.getpid(), apart_from=self.server), seconds(self.server)
        started = time.perf_counter()
        yield
        self.took += time.perf_counter() - started
        self.own += seconds(os.getpid(), apart_from=self.server) - own
        self.servers += seconds(self.server) - servers


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), parent(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name, which may hold spaces: the state comes first."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
