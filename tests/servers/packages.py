"""What a test run needs of the system, and how it comes there on Debian."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_POLICY = Path("/usr/sbin/policy-rc.d")


class Missing(Exception):
    """A program that is not installed, or too old; the message says what it is for. `package` is Debian's."""

    def __init__(self, message: str, package: str) -> None:
        super().__init__(f"{message} (Debian, Ubuntu: apt-get install {package})")
        self.package = package


def provided(find: Callable[[], T]) -> T:
    """What `find` finds, after the packages it lacks were installed where that is possible. Raises Missing."""
    installed: set[str] = set()
    while True:
        try:
            return find()
        except Missing as missing:
            if missing.package in installed or os.geteuid() != 0 or shutil.which("apt-get") is None:
                raise
            _install(missing)
            installed.add(missing.package)


def _install(missing: Missing) -> None:
    print(f"installing {missing.package}", flush=True)
    with _no_services():
        for command in (("update",), ("install", "--yes", "--no-install-recommends", missing.package)):
            done = subprocess.run(
                ("apt-get", "--quiet", *command),
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise Missing(f"{missing}; that failed: {done.stderr.strip()}", missing.package)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a server when it is installed, unless a policy says otherwise: we start our own."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
