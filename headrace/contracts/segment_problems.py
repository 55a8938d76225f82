"""What the models refuse in a segment definition, in words for who wrote it: path, reason, suggestion."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.contracts.errors import Problem
from headrace.contracts.segment_conditions import CHANNEL
from headrace.contracts.segment_hints import Refused, id_hint
from headrace.contracts.segment_tests import CURRENCY
from headrace.contracts.segment_values import KEY, PATH, TRAIT_KEY
from headrace.contracts.segment_words import shown, suggested

# Told by the linter, which sees the document as written.
_OF_SHAPE = frozenset(
    {"invalid_key", "extra_forbidden", "missing", "model_type", "union_tag_invalid", "union_tag_not_found"}
)
_QUOTED = re.compile(r"'([^']*)'")
_PAIRS: Mapping[str, str] = {"between": "[10, 20]", "hours": "[18, 24]"}
_SWITCH: Mapping[str, str] = {
    "yes": "true",
    "on": "true",
    "1": "true",
    "no": "false",
    "off": "false",
    "0": "false",
}
_MEANT: Mapping[str, str] = {"yes": "granted", "true": "granted", "no": "withdrawn", "false": "withdrawn"}


def value_problems(
    error: ValidationError, document: object, told: Sequence[Problem], *, kinds: int = 1
) -> Iterator[Problem]:
    """One for each value that is refused, but where `told` has a problem already, above or below. `kinds`: how
    many parts of each location come before those of the document."""
    placed = [(tuple(_written(detail["loc"][kinds:], document)), detail) for detail in error.errors()]
    places = {location for location, _ in placed}
    done: set[tuple[int | str, ...]] = set()
    paths = [problem.path for problem in told]
    for location, detail in placed:
        if location in done or _told_by_lint(detail):
            continue
        path = ".".join(map(str, location))
        if detail["type"] == "too_short" and any(len(at) > len(location) for at in places if _under(at, location)):
            continue  # only because its items are wrong
        if not any(_inside(path, other) or _inside(other, path) for other in paths):
            done.add(location)
            yield Problem(path, *_words(detail, location))


def _told_by_lint(detail: ErrorDetails) -> bool:
    missing_in_pair = detail["type"] == "missing" and isinstance(detail["loc"][-1], int)
    return detail["type"] in _OF_SHAPE and not missing_in_pair


def _under(location: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return location[: len(other)] == other


def _inside(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.") or not other


def _words(detail: ErrorDetails, location: tuple[int | str, ...]) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    key = str(location[-1]) if location else ""
    cause = context.get("error")
    if isinstance(cause, Refused):
        return str(cause), cause.suggestion
    if kind == "string_pattern_mismatch":
        return _spelling(str(context["pattern"]), given)
    if kind == "literal_error":
        return _choice(str(context["expected"]), given)
    if kind in {"missing", "too_long"} and key in _PAIRS:
        return "must be two values", f"write {key}: {_PAIRS[key]}"
    if kind == "tuple_type":
        return "must be a list", f"write {key}: {_PAIRS.get(key) or f'[{_item(given)}]'}"
    if kind in _SIZES:
        reason, suggestion = _SIZES[kind]
        limit = context.get("max_length", context.get("min_length", ""))
        return reason.format(limit), suggestion
    if kind in {"greater_than_equal", "less_than_equal", "int_type"}:
        bounds = context.get("ge", context.get("le"))
        return "must be a whole number" if bounds is None else f"is beyond {bounds}", "write a number such as 100"
    if kind == "bool_type":
        return "must be true or false", f"write {_SWITCH.get(shown(given).lower(), 'true or false')}"
    if kind == "string_type":
        return "must be text", f'write "{_item(given)}", in quotes'
    return "is not written as it must be", "compare it with the examples of docs/segments.md"


_SIZES: Mapping[str, tuple[str, str]] = {
    "too_short": ("is an empty list", "write at least one, or leave the key out"),
    "too_long": ("has more than {} items", "leave some out, or make several conditions under any:"),
    "string_too_short": ("is empty", "write at least one character"),
    "string_too_long": ("has more than {} characters", "shorten it"),
}


def _item(given: object) -> str:
    return shown(given) if isinstance(given, str | int | float) else "…"


def _spelling(pattern: str, given: object) -> tuple[str, str]:
    if pattern == KEY:
        return "is not an id", id_hint(given)
    if pattern == TRAIT_KEY:
        return "is not an id", "an id has 1 to 64 of a-z, 0-9, _ and -: total_spent"
    if pattern == PATH:
        hint = "write names joined by dots, and [] for each item of a list: properties.products[].price"
        return "is not a path", hint
    if pattern == CHANNEL:
        return "is not a channel", f"write it in small letters, such as {_small(given)}"
    assert pattern == CURRENCY
    return "is not a currency", "write its three letters, such as CZK or EUR"


def _small(given: object) -> str:
    plain = re.sub(r"[^a-z0-9_-]", "", shown(given).lower()).lstrip("_-")[:32]
    return plain or "sms or email"


def _choice(expected: str, given: object) -> tuple[str, str]:
    known = _QUOTED.findall(expected)
    text = shown(given).strip().lower()
    word = next((one for one in (_MEANT.get(text), text, text[:3]) if one in known), None)
    return f"must be one of {', '.join(known)}", f"did you mean {word}?" if word else suggested(given, known)


def _written(location: tuple[int | str, ...], document: object) -> Iterator[int | str]:
    """The part of pydantic's location that is in the document: it also names union branches."""
    node: Any = document
    for part in location:
        if isinstance(node, dict):
            inside = part in node
        else:
            inside = isinstance(node, list | tuple) and isinstance(part, int) and 0 <= part < len(node)
        if inside:
            node = node[part]
            yield part
