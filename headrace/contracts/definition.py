"""What campaigns, templates, blocks, voucher pools and policies have in common: strict models, ids, durations, and
problems that say what to write instead."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from headrace.contracts.errors import Problem

UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
STEP_TAG = "step:"
"""How the branches of a union are called in pydantic's paths, so that they can be left out of ours."""
TWO_THINGS = "step_two_things"
"""Type of the error that a step with two keys is."""

SendChannel = Literal["sms", "email", "viber", "whatsapp"]
Purpose = Literal["marketing", "transactional"]

_MISSING = "is missing"
_TOO_SHORT = "needs at least one item"
_BRANCHES = frozenset({"sms", "email", "viber", "whatsapp"})
_REASONS = {
    "missing": _MISSING,
    "too_short": _TOO_SHORT,
    "string_too_short": "is empty",
    "string_type": "must be text",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "string_pattern_mismatch": "is not written as it must be",
    "union_tag_invalid": "is not known here",
    "union_tag_not_found": "names no channel",
}
_SUGGESTIONS = {
    "string_pattern_mismatch": "ids are 1 to 64 of a-z, 0-9 and -; durations look like 90s, 30m, 24h or 7d",
    "missing": "add it",
    "string_type": "put it in quotes",
    "union_tag_not_found": "write channel: sms, email, viber or whatsapp",
    TWO_THINGS: "a step does one thing: make two steps",
}


def storable(text: str) -> str:
    """The text, if every store can hold it. Raises ValueError."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not hold U+0000 or half of a surrogate pair")
    return text


DefinitionId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}(s|m|h|d|w)$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\[\]\x00]+(\.[^.\[\]\x00]+)*$", max_length=200)]
"""Where a value stands in an event: `properties.cart_id`."""
LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


def duration_ms(text: str) -> int:
    """Milliseconds of a `Duration`."""
    return int(text[:-1]) * UNIT_MS[text[-1]]


def minutes(text: str) -> int:
    """Minutes since midnight of a `LocalTime`."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)


def problems(error: ValidationError, fields: Iterable[str]) -> list[Problem]:
    """Every problem once, without what only echoes another. `fields` are the known names, to suggest one."""
    found: dict[str, Problem] = {}
    for detail in error.errors():
        problem = _problem(detail, sorted(set(fields)))
        found.setdefault(problem.path, problem)
    return [problem for problem in found.values() if not _follows_from(problem, found)]


def _follows_from(problem: Problem, found: Mapping[str, Problem]) -> bool:
    """A list is too short because its items are wrong."""
    return problem.reason == _TOO_SHORT and any(path.startswith(f"{problem.path}.") for path in found)


def _problem(detail: ErrorDetails, fields: list[str]) -> Problem:
    kind = detail["type"]
    *before, last = detail["loc"] or ("",)
    location = [part for at, part in enumerate(before) if not _is_branch(at, part)]
    if kind == "extra_forbidden" or not _is_branch(len(before), last):  # a field that is not known may look so
        location.append(last)
    path = re.sub(r"\.\[key\]$", "", ".".join(map(str, location)))
    if kind == "extra_forbidden":
        near = [name for name in get_close_matches(str(last), fields, 2) if name != last]
        return Problem(path, "is not a known field", f"did you mean {near[0]}?" if near else "leave it out")
    context = detail.get("ctx", {})
    if kind == "union_tag_invalid":
        expected = str(context.get("expected_tags", "")).replace(STEP_TAG, "").replace("'", "")
        return Problem(path, _REASONS[kind], f"write one of {expected}")
    if kind == "literal_error":
        return Problem(
            path, "is not known here", f"write one of {str(context.get('expected', '')).replace(chr(39), '')}"
        )
    reason = _REASONS.get(kind) or detail["msg"].removeprefix("Value error, ")
    return Problem(path, reason, _SUGGESTIONS.get(kind, ""))


def _is_branch(at: int, part: int | str) -> bool:
    return isinstance(part, str) and (part.startswith(STEP_TAG) or (at == 0 and part in _BRANCHES))
