"""Packages for the pages' snippets in JavaScript, as tests/docs/npm/package-lock.json says, with its hashes."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_LOCK = Path(__file__).parent / "npm"
_NEEDS = 20, 19
_SECONDS = 90.0


def node_modules() -> Path:
    """The folder with the packages, installed once for all checkouts of a machine: below XDG_CACHE_HOME, else
    ~/.cache. Skips where Node is missing or too old, or the packages cannot be had."""
    if shutil.which("npm") is None or _version() < _NEEDS:
        pytest.skip(
            "snippets in JavaScript need npm and Node 20.19 or newer (Debian, Ubuntu: apt-get install npm)"
        )
    lock = (_LOCK / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "headrace" / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # test processes come at the same time
        if not (folder / "complete").exists():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCK / name, folder)
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm packages could not be had within {_SECONDS} s")
    except subprocess.CalledProcessError as error:
        if "EINTEGRITY" in error.stderr:
            raise AssertionError(f"a package is not the one of the lock:\n{error.stderr}") from error
        pytest.skip(f"npm packages cannot be had: {error.stderr.strip()[-300:]}")
    (folder / "complete").touch()


def _version() -> tuple[int, ...]:
    if shutil.which("node") is None:
        return (0,)
    said = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2])
