"""More processes of a service beside the supervised one: members of the same consumer group."""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import httpx

from headrace.local.ports import free_port
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until


class Members:
    """At most one more process of each service; all are killed when the context ends. What they say goes to files
    in `folder`. `environments`: by service, what its process has otherwise than the supervised one."""

    def __init__(
        self, folder: Path, stack: Stack, environments: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._folder = folder
        self._stack = stack
        self._environments = environments or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}

    def __enter__(self) -> "Members":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in list(self._processes):
            self._kill(service)

    def restart(self, service: str) -> None:
        """kill -9, if it runs, and start it anew, on a port of its own."""
        self._kill(service)
        self._ports[service] = free_port()
        with self._said(service).open("wb") as output:
            self._processes[service] = subprocess.Popen(
                (sys.executable, "-m", f"services.{service}"),
                env=self._environment(service),
                stdout=output,
                stderr=output,
            )

    def replace(self, service: str) -> None:
        """Have it end in peace, and start it anew. One that does not serve yet does not know how to end in
        peace."""
        wait_until(lambda: self._serves(service), 90, what=f"another {service} to serve")
        process = self._processes[service]
        process.terminate()
        assert process.wait(30) == 0, self._said(service).read_text("utf-8", "replace")
        self.restart(service)

    def wait_assigned(self, service: str) -> None:
        """Wait until it works on a partition."""
        wait_until(
            lambda: b"partition_assigned" in self._said(service).read_bytes(),
            90,
            what=f"work for another {service}",
        )

    def _serves(self, service: str) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self._ports[service]}/healthz").is_success
        return False

    def _said(self, service: str) -> Path:
        return self._folder / f"{service}-member.log"

    def _kill(self, service: str) -> None:
        if process := self._processes.pop(service, None):
            process.kill()
            process.wait()

    def _environment(self, service: str) -> dict[str, str]:
        """As `up` gave it to its own process of the service."""
        pid = wait_until(lambda: self._stack.pids().get(service), what=f"{service} to run")
        inherited = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        env = dict(item.split("=", 1) for item in inherited if item)
        own = self._environments.get(service, {})
        return {**env, f"HEADRACE_{service.upper()}_PORT": str(self._ports[service]), **own}
