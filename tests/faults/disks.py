"""Small disks under engines, which a test fills up: a tmpfs each."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_STEPS = (1024 * 1024, 64 * 1024, 4096)


class Disk:
    """A file system of its own at `folder`."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room. Once more, when something has become free."""
        with open(os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600), "ab") as file:
            size = file.seek(0, os.SEEK_END)
            for step in _STEPS:
                size = _grown(file.fileno(), size, step)

    def empty(self) -> None:
        """Take the ballast away. Idempotent."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk | None]:
    """Mount one while the context lasts; None where this process may not mount (CAP_SYS_ADMIN)."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0711"
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder), capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(("umount", "--lazy", folder), check=True)


def _grown(file: int, size: int, step: int) -> int:
    """The file's size after it was grown by steps until the disk was full."""
    while True:
        try:
            os.posix_fallocate(file, size, step)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return size
        size += step
