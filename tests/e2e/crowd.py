"""More processes of every service beside those of a stack: they join, leave in peace, or die."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import httpx

from headrace.local.ports import free_port
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

_APPLIED = re.compile(r"^headrace_records_processed_total\{[^}]*\} (\S+)$", re.MULTILINE)
_STOP_SECONDS = 30.0
_PORTS = (20_000, 22_999)
"""Apart from those of stacks."""


class Crowd:
    """Processes by a name of their own, such as `profiles-2`: the service is what stands before the number. All
    are killed when the context ends. What they say goes to files in `folder`."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self._folder = folder
        self._stack = stack
        self._ports: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill(*self._processes)

    def join(self, *names: str) -> None:
        """Start these, or start them anew at the same port."""
        for name in names:
            self._ports.setdefault(name, free_port(*_PORTS))
            with self._said(name).open("ab") as output:
                self._processes[name] = subprocess.Popen(
                    (sys.executable, "-m", f"services.{_service(name)}"),
                    env=self._environment(name),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )

    def kill(self, *names: str) -> None:
        """kill -9."""
        for name in names:
            self._processes[name].kill()
            self._processes.pop(name).wait()

    def leave(self, *names: str) -> None:
        """Have these end in peace, all at once. Raises AssertionError with what one said that did not."""
        for name in names:
            self._processes[name].send_signal(signal.SIGTERM)
        for name in names:
            assert self._processes.pop(name).wait(_STOP_SECONDS) == 0, self.said(name)

    def pids(self) -> dict[str, int]:
        """Process ids of those that run, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def ready(self, *names: str) -> bool:
        """Whether each says so."""
        return all(_asked(f"{self.url(name)}/readyz") is not None for name in names)

    def applied(self, name: str) -> int:
        """How many records it has applied of the partitions that are its own now."""
        said = _asked(f"{self.url(name)}/metrics") or ""
        return int(sum(float(number) for number in _APPLIED.findall(said)))

    def said(self, name: str) -> str:
        """All it has logged, its predecessors of the same name included."""
        path = self._said(name)
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _said(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _environment(self, name: str) -> dict[str, str]:
        """As `up` gave it to its own process of the service."""
        service = _service(name)
        pid = wait_until(lambda: self._stack.pids().get(service), what=f"{service} to run")
        inherited = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        env = dict(os.fsdecode(item).split("=", 1) for item in inherited if item)
        return {**env, f"HEADRACE_{service.upper()}_PORT": str(self._ports[name])}


def _service(name: str) -> str:
    return name.rpartition("-")[0]


def _asked(url: str) -> str | None:
    """A page's text; None unless it is there."""
    try:
        page = httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return None
    return page.text if page.is_success else None
