"""The repository's own files, as a checkout has them."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

NOT_OURS = {"__pycache__", "build", "dist", "fuzz-findings", "node_modules"}
HIDDEN_BUT_OURS = {".ci", ".dockerignore", ".editorconfig", ".gitignore", ".pre-commit-config.yaml"}


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project: what .gitignore leaves out is not among them."""
    return tuple(sorted(_walk()))


@cache
def texts() -> dict[str, str]:
    """The text files, by path below the root."""
    found = {}
    for path in files():
        raw = path.read_bytes()
        if b"\0" not in raw:
            found[path.relative_to(ROOT).as_posix()] = raw.decode("utf-8")
    return found


def _walk() -> Iterator[Path]:
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if _is_ours(name)]
        yield from (Path(folder, name) for name in names if _is_ours(name) and not name.endswith(".pyc"))


def _is_ours(name: str) -> bool:
    if name.startswith("."):
        return name in HIDDEN_BUT_OURS
    return name not in NOT_OURS and not name.endswith(".egg-info")
