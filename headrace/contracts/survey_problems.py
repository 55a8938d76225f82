"""What is refused in a survey definition, in words for who wrote it: path, reason, suggestion."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.contracts.errors import Problem
from headrace.contracts.segment_hints import Refused, id_hint
from headrace.contracts.segment_values import KEY
from headrace.contracts.segment_words import shown, suggested

MAX_PROBLEMS = 100
_TYPES = ("single_choice", "multiple_choice", "number", "scale", "text", "date", "yes_no")
_QUOTED = re.compile(r"'([^']*)'")
_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("must be at least {ge}", "write a number in these bounds"),
    "less_than_equal": ("must be at most {le}", "write a number in these bounds"),
    "too_short": ("needs at least {min_length} of them", "add some"),
    "too_long": ("has more than {max_length} items", "leave some out, or make two surveys"),
    "string_too_short": ("is empty", "write at least one character"),
    "string_too_long": ("has more than {max_length} characters", "shorten it"),
}
_REASONS: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be text", "put it in quotes"),
    "bool_type": ("must be true or false", "write true or false"),
    "int_type": ("must be a whole number", "write a number such as 10"),
    "float_type": ("must be a number", "write a number such as 10"),
    "tuple_type": ("must be a list", "put a dash before each of its items"),
    "model_type": ("must be an object", "write its keys and their values"),
    "model_attributes_type": ("must be an object", "write its keys and their values"),
    "union_tag_not_found": ("has no type", f"add type: one of {', '.join(_TYPES)}"),
}


def survey_problems(error: ValidationError, document: object) -> list[Problem]:
    """One for each place, the first that was found there; none for what only follows from another."""
    placed = [(list(_written(detail, document)), detail) for detail in error.errors()]
    found: dict[str, Problem] = {}
    for location, detail in placed:
        path = ".".join(map(shown, location))
        if path not in found and not _follows(detail, location, [other for other, _ in placed]):
            found[path] = Problem(path, *_words(detail, location))
    return list(found.values())[:MAX_PROBLEMS]


def _follows(detail: ErrorDetails, location: list[int | str], all_of: list[list[int | str]]) -> bool:
    """A list is too short because its items are wrong."""
    return detail["type"] == "too_short" and any(
        len(one) > len(location) and one[: len(location)] == location for one in all_of
    )


def _words(detail: ErrorDetails, location: list[int | str]) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Refused):
        return str(cause), cause.suggestion
    if kind == "extra_forbidden":
        return "is not known here", suggested(location[-1], _known(location))
    if kind == "union_tag_invalid":
        return "is no type of question", suggested(context.get("tag"), _TYPES)
    if kind == "literal_error":
        known = _QUOTED.findall(str(context["expected"])) or [str(context["expected"]).lower()]
        return f"must be {' or '.join(known)}", suggested(given, known)
    if kind == "string_pattern_mismatch":
        return _spelling(str(context["pattern"]), given)
    if kind in _LIMITS:
        reason, suggestion = _LIMITS[kind]
        return reason.format(**context), suggestion
    return _REASONS.get(kind) or ("is not written as it must be", "compare it with docs/surveys.md")


def _spelling(pattern: str, given: object) -> tuple[str, str]:
    if pattern == KEY:
        return "is not an id", id_hint(given)
    return "is not a name", "write 1 to 100 characters, of a trait none of . [ ]"


def _known(location: list[int | str]) -> tuple[str, ...]:
    if "ask_if" in location:
        return "trait", "missing", "older_than"
    if "award" in location:
        return "tag", "voucher"
    if "choices" in location:
        return "value", "text"
    if "questions" in location:
        texts = ("id", "text", "help", "type", "trait", "priority", "optional", "stale_after", "ask_if")
        return (*texts, "choices", "min", "max", "low", "high", "max_length")
    return "kind", "id", "name", "language", "title", "thanks", "ask_again", "award", "questions"


def _written(detail: ErrorDetails, document: object) -> Iterator[int | str]:
    """The part of pydantic's location that is in the document, and a key that is missing there. Of a question it
    also names the type, which may be spelt like a key."""
    node: Any = document
    places = [part for depth, part in enumerate(detail["loc"]) if depth != 2 or part not in _TYPES]
    for number, part in enumerate(places):
        if isinstance(node, dict):
            inside = part in node
        else:
            inside = isinstance(node, list | tuple) and isinstance(part, int) and 0 <= part < len(node)
        if inside:
            node = node[part]
            yield part
        elif number == len(places) - 1 and detail["type"] == "missing":
            yield part
