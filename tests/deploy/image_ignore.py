"""What .dockerignore keeps out of the build: Docker's rules, the last pattern that matches decides."""

import re
from collections.abc import Sequence


def ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether `path`, relative to the root of the build, stays out."""
    out = False
    for pattern in patterns:
        keeps = pattern.startswith("!")
        if _expression(pattern.removeprefix("!").strip("/")).fullmatch(path):
            out = not keeps
    return out


def patterns(text: str) -> list[str]:
    """The patterns of the file's text."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern also matches what lies below a folder that it matches."""
    parts = []
    for part in re.split(r"(\*\*/?|\*|\?)", pattern):
        meaning = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
        parts.append(meaning.get(part, re.escape(part)))
    return re.compile("".join(parts) + r"(?:/.*)?")
