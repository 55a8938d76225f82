"""A platform of its own for the demo: `headrace up` as a child, on free ports and temporary data."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from headrace.cli.deployment import Deployment
from headrace.contracts.errors import HeadraceError
from headrace.local.ports import free_port
from headrace.local.program import Program
from headrace.local.services import installed_services
from headrace.local.settings import port_variable

_LOOK_EVERY = 0.1
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class DemoFailed(HeadraceError):
    """The demo did not show what it should have shown."""


@contextmanager
def running_platform() -> Iterator[Deployment]:
    """Start it, wait until it is ready, and remove every trace of it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    folder.chmod(0o711)  # as root, Postgres runs as another user, who must reach its folder in here
    env = _environment(folder / "data")
    output = folder / "output"
    try:
        with output.open("wb") as sink:
            # under the guard, so that a demo that is killed takes its platform along
            command = (sys.executable, "-m", "headrace.cli.main", "up")
            up = subprocess.Popen(  # noqa: S603 (our own interpreter)
                Program("up", command, folder / "up.pid", stop_signal=signal.SIGINT).guarded(),
                env=env,
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            deployment = Deployment.of(env)
            _await_ready(up, deployment, output)
            yield deployment
        finally:
            _stop(up)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(data: Path) -> dict[str, str]:
    """Ours without anything that would lead the demo to a real deployment or to real customers."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    env["HEADRACE_DATA_DIR"] = str(data)
    for service in installed_services():
        env[port_variable(service.name)] = str(free_port())
    return env


def _await_ready(up: "subprocess.Popen[bytes]", deployment: Deployment, output: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    waiting = [service.name for service in installed_services()]
    while waiting:
        if up.poll() is not None or time.monotonic() > deadline:
            said = output.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
            raise DemoFailed("the platform did not start:\n  " + "\n  ".join(said))
        if _is_ready(deployment.url(waiting[0])):
            waiting.pop(0)
        else:
            time.sleep(_LOOK_EVERY)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _stop(up: "subprocess.Popen[bytes]") -> None:
    up.send_signal(signal.SIGINT)
    try:
        up.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()
    if up.stdin is not None:
        up.stdin.close()
