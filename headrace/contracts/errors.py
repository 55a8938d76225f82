"""The one exception root. A message tells the user what to do; a driver's error is wrapped with `from`."""

from typing import Literal

import msgspec


class HeadraceError(Exception):
    """Root of every error that Headrace raises on purpose."""


class SettingsError(HeadraceError):
    """A setting is missing or malformed. The message names the variable and a valid example."""


class InvalidDefinition(HeadraceError):
    """A segment, campaign or template definition is wrong. `problems` lists path, reason and suggestion."""

    def __init__(self, problems: "list[Problem]") -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.path or '(top)'}: {p.reason}" for p in problems))


class Problem:
    """One thing that is wrong in a definition: where, why, and what to write instead."""

    __slots__ = ("path", "reason", "suggestion")

    def __init__(self, path: str, reason: str, suggestion: str = "") -> None:
        self.path = path
        self.reason = reason
        self.suggestion = suggestion

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "reason": self.reason, "suggestion": self.suggestion}


class ApiError(HeadraceError):
    """An HTTP answer other than success: `{"success": false, "code": slug, "message": what to do}`."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        super().__init__(message)


class ErrorBody(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """Body of every HTTP answer other than success. `code` is a slug, `message` says what to do; `problems`
    (each with path, reason and suggestion) come with `invalid_definition`."""

    success: Literal[False]
    code: str
    message: str
    problems: list[dict[str, str]] = []
