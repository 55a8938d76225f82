"""The data folder of `headrace up`: one process at a time uses it, and it remembers its deployment."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from headrace.local.errors import FolderUnusable

_CLOSED_FOLDERS = ("run", "logs", "outbox")
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a data folder keeps for ever: `deployment.json`, readable by the owner only."""

    id: str
    partitions: int
    write_key: str = field(repr=False)
    admin_token: str = field(repr=False)
    engine_password: str = field(repr=False)
    survey_key: str = field(default="", repr=False)
    """Signs links to surveys. Empty in a folder of before there were surveys, until it is opened."""


class DataFolder:
    """A data folder that this process holds. Close it last: the lock is what keeps a second `up` away."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        self.run = path / "run"
        self.logs = path / "logs"
        self.outbox = path / "outbox"

    @classmethod
    def open(cls, path: Path, *, wait: float = 10.0) -> "DataFolder":
        """Make the folder if need be and lock it. The lock is shared with the guards of our children: after a
        kill of `up` it stays held until the last child is gone, so a new `up` waits up to `wait` seconds."""
        path = path.absolute()
        with explained(path):
            _make(path)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _acquire(lock, path, wait)
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
                for name in _CLOSED_FOLDERS:
                    (path / name).mkdir(mode=0o700, exist_ok=True)
            except BaseException:
                os.close(lock)
                raise
        return cls(path, lock)

    def close(self) -> None:
        os.close(self.lock)

    def deployment(self, partitions: int | None, *, default: int) -> Deployment:
        """The folder's deployment, made at the first start. Raises FolderUnusable when `partitions` is another
        number than the folder was made for, since every key would move to another partition."""
        path = self.path / "deployment.json"
        with explained(path):
            try:
                kept = Deployment(**json.loads(path.read_text("utf-8")))
                if not kept.survey_key:
                    kept = _keep(path, replace(kept, survey_key=secrets.token_hex(32)))
            except FileNotFoundError:
                return _create(path, partitions or default)
            except (ValueError, TypeError) as error:
                raise FolderUnusable(
                    f"{path} is damaged ({error}): restore it, or set HEADRACE_DATA_DIR to a new folder"
                ) from error
        if partitions not in (None, kept.partitions):
            raise FolderUnusable(
                f"{self.path} was made with HEADRACE_PARTITIONS={kept.partitions}, which cannot change: "
                f"unset it (now {partitions}), or set HEADRACE_DATA_DIR to a new folder"
            )
        return kept

    def demand_space(self, megabytes: int) -> None:
        """Raise FolderUnusable when the disk has less free space than that."""
        free = shutil.disk_usage(self.path).free // 2**20
        if free < megabytes:
            raise FolderUnusable(
                f"the disk that holds {self.path} is full: {free} MB free, {megabytes} MB needed; "
                "free some space or set HEADRACE_DATA_DIR to a folder on another disk"
            )


def _create(path: Path, partitions: int) -> Deployment:
    made = Deployment(
        id=secrets.token_hex(8),
        partitions=partitions,
        write_key=secrets.token_urlsafe(24),
        admin_token=secrets.token_urlsafe(24),
        engine_password=secrets.token_urlsafe(24),
        survey_key=secrets.token_hex(32),
    )
    return _keep(path, made)


def _keep(path: Path, deployment: Deployment) -> Deployment:
    partial = path.with_name("deployment.json.partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(deployment), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return deployment


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into a FolderUnusable that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            reason = "the disk is full: free some space"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            reason = "it is not writable for this user"
        else:
            reason = error.strerror or str(error)
        raise FolderUnusable(
            f"cannot use {error.filename or path}: {reason}, or set HEADRACE_DATA_DIR to another folder"
        ) from error


def _make(path: Path) -> None:
    """Closed to other users. As root others may pass it, since Postgres runs as one of them; nothing in it but
    Postgres' own folder is open to them."""
    root = os.geteuid() == 0
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(0o711 if root else 0o700)
    elif root and not (mode := path.stat().st_mode & 0o7777) & 0o001:
        path.chmod(mode | 0o001)


def _acquire(lock: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            if _lives(holder) or time.monotonic() > deadline:
                raise FolderUnusable(
                    f"another `headrace up` (process {holder or 'unknown'}) uses {path}: stop it, "
                    "or set HEADRACE_DATA_DIR to another folder"
                ) from None
            time.sleep(0.05)
        else:
            return


def _lives(pid: str) -> bool:
    return pid.isdigit() and Path("/proc", pid).exists()
