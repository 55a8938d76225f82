"""Named places where a test may make a process die, stop, fail or stand still.

`HEADRACE_FAILPOINTS` names a folder. A file in it, `SERVICE.POINT`, arms a point: it holds `ACTION@N`, and the
action happens when the point is reached for the Nth time since (`kill@3`; `@1` may be left out). A point fires
once: its file is then called `SERVICE.POINT.fired`. Counts are kept in the folder, so they outlast the process
and are shared by all processes of the service. Arm again after removing what is left of the last time
(`disarm`).

| action | what happens |
| --- | --- |
| `kill` | SIGKILL to itself |
| `stop` | SIGSTOP to itself, until somebody sends SIGCONT |
| `error` | `Failed` is raised there |
| `block` | the process stands still until the `.fired` file is removed |

Without the setting, reaching a point costs one comparison.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from headrace.contracts.errors import HeadraceError, SettingsError
from headrace.runtime.settings import Environment

_RELAY = ("before_publish", "after_publish", "before_mark", "after_mark")
_WORKER = ("before_read", "after_read", "before_commit", "after_commit")
POINTS: Mapping[str, tuple[str, ...]] = {
    "ingest": ("before_append", "after_append", "before_answer"),
    "profiles": (*_WORKER, *_RELAY),
    "segmenter": (*_WORKER, *_RELAY, "before_rebuild", "after_reset", "after_rebuild"),
    "messenger": (
        *_WORKER,
        *_RELAY,
        "before_claim",
        "after_claim",
        "before_send",
        "after_send",
        "before_confirm",
        "after_confirm",
    ),
}
"""Every point of every service, in the order in which work comes past it."""

_ACTIONS = ("kill", "stop", "error", "block")
_LOOK_SECONDS = 0.02

_armed: tuple[Path, str] | None = None


class Failed(HeadraceError):
    """A failpoint's action `error`."""


def configure(service: str, env: Environment) -> None:
    """Listen to the folder that `HEADRACE_FAILPOINTS` names, if any. Raises SettingsError when it is none."""
    global _armed
    folder = env.optional("HEADRACE_FAILPOINTS")
    if folder is not None and not Path(folder).is_dir():
        raise SettingsError(f"HEADRACE_FAILPOINTS={folder!r} must be a folder (it is for tests only; unset it)")
    _armed = (Path(folder), service) if folder is not None else None


def failpoint(point: str) -> None:
    """Work has come to `point` of this process' service. Raises Failed if it is armed with `error`."""
    if _armed is not None:
        _reached(*_armed, point)


def arm(folder: Path, service: str, point: str, action: str = "kill", *, at: int = 1) -> None:
    """Arm a point. Raises KeyError or ValueError for one that does not exist."""
    if point not in POINTS[service] or action not in _ACTIONS:
        raise ValueError(f"{service} has no failpoint {point}, or there is no action {action}")
    partial = folder / f"{service}.{point}.partial"
    partial.write_text(f"{action}@{at}\n", encoding="ascii")
    partial.rename(folder / f"{service}.{point}")


def disarm(folder: Path, service: str, point: str) -> None:
    """Take a point back, and let go what stands still there. Idempotent."""
    for suffix in ("", ".hits", ".fired"):
        (folder / f"{service}.{point}{suffix}").unlink(missing_ok=True)


def fired_at(folder: Path, service: str, point: str) -> float | None:
    """When the point fired, in seconds since the epoch; None while it has not."""
    try:
        return float((folder / f"{service}.{point}.fired").read_text(encoding="ascii").partition(" ")[2])
    except (FileNotFoundError, ValueError):  # not yet, or renamed just now
        return None


def _reached(folder: Path, service: str, point: str) -> None:
    path = folder / f"{service}.{point}"
    try:
        action, _, number = path.read_text(encoding="ascii").strip().partition("@")
    except FileNotFoundError:
        return
    if _count(path.with_name(f"{path.name}.hits")) < int(number or 1):
        return
    fired = path.with_name(f"{path.name}.fired")
    try:
        path.rename(fired)
    except FileNotFoundError:  # another process was faster
        return
    fired.write_text(f"{action} {time.time()}", encoding="ascii")
    _act(action, fired)


def _count(hits: Path) -> int:
    """One more hit; how many there are. An append is atomic, so its end is this hit's own number."""
    descriptor = os.open(hits, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, b".")
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


def _act(action: str, fired: Path) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "error":
        raise Failed(f"failpoint {fired.stem}")
    else:
        while fired.exists():
            time.sleep(_LOOK_SECONDS)
