"""The Makefile explains itself, and says what is missing before it does anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repository.tree import ROOT

MAKE = shutil.which("make") or "make"
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without .venv, at a path with spaces."""
    folder = tmp_path / "a check out"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment.pop("MFLAGS", None)
    return subprocess.run(
        [MAKE, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def interpreter(folder: Path, body: str) -> Path:
    """A stand-in for python3: a script for /bin/sh."""
    path = folder / "pythonX"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("arguments", [(), ("help",)])
def test_help_lists_every_target(checkout: Path, arguments: tuple[str, ...]) -> None:
    done = make(checkout, *arguments)
    assert done.returncode == 0, done.stderr
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: ([a-z-]+)$", text, re.MULTILINE)
    assert {"run", "test", "check", "demo", "lock", "clean"} <= set(targets)
    for target in targets:
        assert re.search(rf"make {target} +\S", done.stdout), target
    assert not (checkout / ".venv").exists()


def test_no_python_is_said(checkout: Path) -> None:
    done = make(checkout, "run", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert '"no-such-python" is not installed' in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_an_old_python_is_said(checkout: Path) -> None:
    old = interpreter(checkout, 'case "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac')
    done = make(checkout, "run", f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_said_with_the_package(checkout: Path) -> None:
    hides = f'case "$2" in *ensurepip*) exit 1;; *) exec "{sys.executable}" "$@";; esac'
    done = make(checkout, "run", f"PYTHON={interpreter(checkout, hides)}")
    assert done.returncode != 0
    assert f"python3.{sys.version_info.minor}-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_what_is_installed_is_not_installed_again(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    for stamp in (".created", ".installed-run", ".installed-dev"):
        (checkout / ".venv" / stamp).touch()
    planned = make(checkout, "--dry-run", "run").stdout
    assert "headrace.cli.main up" in planned
    assert "install" not in planned


def test_a_changed_lock_is_installed(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    for stamp in (".created", ".installed-run", ".installed-dev"):
        (checkout / ".venv" / stamp).touch()
    newer = (checkout / ".venv/.installed-run").stat().st_mtime + 10
    os.utime(checkout / "requirements.lock", (newer, newer))
    planned = make(checkout, "--dry-run", "run").stdout
    assert "--require-hashes --no-deps --no-compile --requirement requirements.lock" in planned
    assert "venv --clear" not in planned


def test_a_venv_whose_interpreter_is_gone_is_made_again(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(checkout / "gone")
    for stamp in (".created", ".installed-run", ".installed-dev"):
        (checkout / ".venv" / stamp).touch()
    assert "venv --clear .venv" in make(checkout, "--dry-run", "run").stdout
