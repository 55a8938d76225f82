"""What `headrace up` shows and keeps: every program's lines, merged on the terminal, one capped file each."""

import contextlib
import os
import queue
import select
import threading
from pathlib import Path
from typing import IO

_COLOURS = (36, 33, 32, 35, 34, 31)
_WIDTH = 9
_MOST_WAITING = 10_000


class Terminal:
    """Lines to a descriptor from a thread of its own: a reader that is slow or gone never stops us. Lines are
    dropped while too many wait, and all of them once nobody can read any more."""

    def __init__(self, descriptor: int | None) -> None:
        """`descriptor` stays the caller's; None: nothing is shown."""
        self._descriptor = descriptor
        self._coloured = descriptor is not None and os.isatty(descriptor) and "NO_COLOR" not in os.environ
        self._names: dict[str, int] = {}
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._thread.start()

    @property
    def writing(self) -> bool:
        """Whether its thread still has something to do."""
        return self._thread.is_alive()

    def show(self, name: str, line: str) -> None:
        """A program's line with its name before it."""
        prefix = f"{name:<{_WIDTH}} |"
        if self._coloured:
            colour = self._names.setdefault(name, _COLOURS[len(self._names) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.print(f"{prefix} {line}")

    def print(self, line: str) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def close(self, timeout: float = 1.0) -> None:
        """Write what waits, as far as the reader takes it in time."""
        while True:
            try:
                self._lines.put_nowait(None)
                break
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()
        self._thread.join(timeout)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._descriptor is not None:
                try:
                    _write_all(self._descriptor, f"{line}\n".encode(errors="replace"))
                except OSError:
                    self._descriptor = None  # the reader is gone


class LogFile:
    """A program's lines in a file of at most `limit` bytes; the one before it is kept as `.1`."""

    def __init__(self, path: Path, limit: int = 10_000_000) -> None:
        self.path = path
        self._limit = limit
        self._file: IO[str] | None = None
        self._size = 0

    def write(self, line: str) -> None:
        """A full disk loses log lines, nothing else."""
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8", buffering=1)
                self._size = self._file.tell()
            self._size += self._file.write(line + "\n")
            if self._size > self._limit:
                self.close()
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever shares the terminal has made it non-blocking
            select.select([], [descriptor], [])
