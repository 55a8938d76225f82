"""A definition in a file, and what is found about one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.errors import Problem


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file, the `number`th from 1. `content` is as written, `parsed` what it means."""

    file: Path
    number: int
    kind: str
    content: Any
    parsed: object

    @property
    def id(self) -> str:
        return str(self.content["id"])


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and where it is: in the `number`th document of the file, or in the file itself (None)."""

    file: Path
    number: int | None
    problem: Problem

    def __str__(self) -> str:
        path = self.problem.path
        place = f"{self.file}:{self.number} {path or '(top)'}" if self.number else f"{self.file} {path}".rstrip()
        suggestion = f" ({self.problem.suggestion})" if self.problem.suggestion else ""
        return f"{place}: {self.problem.reason}{suggestion}"
