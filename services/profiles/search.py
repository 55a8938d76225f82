"""Finding customers: what a search asks for (pure). `search_sql.py` asks Postgres."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import msgspec

from headrace.contracts.errors import ApiError
from services.profiles.normalise import phone_beginning
from services.profiles.spelling import spellings

MAX_QUERY = 256
_LAST = "\U0010ffff"
"""Sorts behind every character that a text has."""

Range = tuple[str, str]
"""Every text from the first up to, but without, the second; in the order of code points."""
Name = tuple[str, str]
"""(value, type) of an identifier: the order in which they are found."""


def beginnings(query: str, region: str | None) -> list[Range]:
    """Where the identifiers lie that begin with `query`: as it is written, in lower case, and as a phone number is
    kept. Apart from each other, ascending."""
    written = query.strip()
    phone = "".join(character for character in written if character not in " -()./\u00a0")
    wanted = {written, written.lower()}
    if phone.removeprefix("+").isdigit():
        wanted.add(phone)
        wanted.add(phone_beginning(phone, region) or phone)
    usable = sorted(one for one in wanted if one and "\0" not in one)
    apart = [one for one in usable if not any(one != other and one.startswith(other) for other in usable)]
    return [(one, one + _LAST) for one in apart]


def within(ranges: Iterable[Range], value: str) -> bool:
    return any(low <= value < high for low, high in ranges)


def first_match(names: Iterable[Name], ranges: Sequence[Range]) -> Name | None:
    """Under which of its identifiers a customer is listed: the first one that is found."""
    return min((name for name in names if within(ranges, name[0])), default=None)


def containing(path: str, value: str) -> list[dict[str, Any]]:
    """Documents of which a customer's traits contain one if the trait at `path` equals `value`: as text, and as
    the number or boolean that it is in JSON; a reserved trait by both its names. Raises ApiError 400."""
    steps = tuple(path.split("."))
    if not all(steps) or "\0" in path + value or len(path) > MAX_QUERY:
        raise ApiError(400, "invalid_request", "Name the trait by its path: `trait=address.city&value=Brno`.")
    if steps[0] == "computed":
        raise ApiError(400, "invalid_request", "Computed traits are not searched: preview a segment of them.")
    values: list[Any] = [value]
    literal = _literal(value)
    if literal is not None:
        values.append(literal)
    return [_nested(spelled, one) for spelled in spellings(steps) for one in values]


def _literal(value: str) -> bool | msgspec.Raw | None:
    """The JSON number or boolean that the text is, if any; a number as it is written."""
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if isinstance(found, bool):
        return found
    if isinstance(found, int | float) and isfinite(found) and len(value) <= MAX_QUERY:
        return msgspec.Raw(value.strip().encode())
    return None


def _nested(steps: Sequence[str], value: Any) -> dict[str, Any]:
    for step in reversed(steps):
        value = {step: value}
    nested: dict[str, Any] = value
    return nested
