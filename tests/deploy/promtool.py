"""Prometheus' own checker of rules."""

import shutil
import subprocess
from pathlib import Path

from tests.servers.packages import Missing, provided


def promtool() -> Path:
    """The program; installed first where that is possible. Raises Missing."""
    return provided(_found)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Whatever its exit code."""
    return subprocess.run(
        [promtool(), *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def _found() -> Path:
    program = shutil.which("promtool")
    if program is None:
        raise Missing("the alerts are tested by promtool, which is not installed", "prometheus")
    return Path(program)
