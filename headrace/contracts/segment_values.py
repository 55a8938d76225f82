"""What stands at the leaves of a segment definition: durations, instants, scalars, paths, names (DESIGN §6)."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from headrace.contracts.instant import Millis
from headrace.contracts.segment_hints import (
    Refused,
    duration_hint,
    instant_hint,
    number_hint,
    pattern_hint,
    zone_hint,
    zone_names,
)
from headrace.contracts.segment_limits import MAX_LIST, MAX_NAMES
from headrace.contracts.segment_patterns import pattern_problem

MAX_DURATION_MS = 100 * 366 * 86_400_000
MAX_DIGITS = 15  # what a JSON number keeps in every reader
MAX_TEXT = 1_000
KEY = r"^[a-z0-9-]{1,64}$"
TRAIT_KEY = r"^[a-z0-9_-]{1,64}$"
COMPUTED = "computed"
"""The trait under which the computed ones stand."""
PATH = r"^[^.\[\]]+(\[\])?(\.[^.\[\]]+(\[\])?)*$"

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SHORT_DURATION = re.compile(r"([1-9][0-9]{0,9})([smhdw])", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,10})S)?)?)", re.ASCII
)
_ISO_UNITS = ("w", "d", "h", "m", "s")
_NO_BOUND = "must be a day such as 2026-11-27, or an instant with its offset such as 2026-11-27T10:00:00Z"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d))?", re.ASCII)


def duration_ms(text: str) -> int:
    """`90s`, `15m`, `1h`, `7d`, `12w` or ISO-8601 (`P7D`, `PT1H30M`) in milliseconds. Raises ValueError.

    Months and years are refused: they have no fixed length.
    """
    if match := _SHORT_DURATION.fullmatch(text):
        millis = int(match[1]) * _UNITS[match[2]]
    elif match := _ISO_DURATION.fullmatch(text):
        millis = sum(
            int(n) * _UNITS[unit] for n, unit in zip(match.groups(), _ISO_UNITS, strict=True) if n is not None
        )
    else:
        raise Refused("must be a duration such as 90s, 15m, 1h, 7d, 12w or PT1H30M", duration_hint(text))
    if not 0 < millis <= MAX_DURATION_MS:
        raise Refused("must be longer than nothing and at most 100 years", "write for instance 1s, 30d or 3650d")
    return millis


def bound_ms(text: str) -> Millis:
    """A bound of an absolute window in milliseconds since the epoch: a day (its beginning in UTC) or an instant
    with its offset. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise Refused(_NO_BOUND, instant_hint(text))
    try:
        parsed = datetime.fromisoformat(text if len(text) > len("2026-11-27") else f"{text}T00:00:00+00:00")
    except ValueError as error:
        raise Refused("is in no calendar", instant_hint(text)) from error
    return int(parsed.timestamp() * 1000) if not parsed.microsecond else round(parsed.timestamp() * 1000)


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Refused("must be a number", number_hint(value))
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise Refused(f"must have at most {MAX_DIGITS} digits", "write an id as text, in quotes")
    number = Decimal(str(value))
    if (
        not number.is_finite()
        or abs(number.adjusted()) > 30
        or len(number.normalize().as_tuple().digits) > MAX_DIGITS
    ):
        raise Refused(f"must be finite and have at most {MAX_DIGITS} digits", "round it, or write it as text")
    return number


def storable(text: str) -> str:
    """The text, if every store can hold it. Raises ValueError."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused("must not hold U+0000 or half of a surrogate pair", "write the characters themselves")
    return text


def _scalar(value: object) -> bool | str | Decimal:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Refused(f"must have at most {MAX_TEXT} characters", "compare with a part of it: starts_with")
        return storable(value)
    if isinstance(value, list | tuple | dict):
        raise Refused("must be one text, number, true or false", "for one of several write in: [a, b]")
    return _number(value)


def _plain(value: bool | str | Decimal) -> bool | str | int | float:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _ordered(value: object) -> str | Decimal:
    if isinstance(value, bool):
        raise Refused("must be a number or text", "compare true and false with eq or ne")
    scalar = _scalar(value)
    assert not isinstance(scalar, bool)
    return scalar


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**MAX_DIGITS:
        raise Refused("must be a whole number from 0", number_hint(value, "write a number such as 2"))
    return value


def _duration(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("must be a duration such as 90s, 15m, 1h, 7d or 12w", duration_hint(value))
    duration_ms(value)
    return value


def _bound(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(_NO_BOUND, instant_hint(value))
    bound_ms(value)
    return value


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        reason = f"must be a regular expression of 1 to {MAX_TEXT} characters"
        raise Refused(reason, 'write it in quotes, such as "^SALE-[0-9]+$"')
    if problem := pattern_problem(storable(value)):
        raise Refused(problem, pattern_hint(value))
    return value


def _names(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise Refused("must be an event's name, or a list of names", "write for instance Order Completed")
    return (value,) if isinstance(value, str) else value


def _percentage(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Refused("must be a number from 0 to 100", number_hint(value, "write a number such as 10"))
    if isinstance(value, int) and not 0 <= value <= 100:  # of a longer one Python makes no text
        raise Refused("must be a percentage from 0 to 100", "write a number such as 10")
    hundredths = Decimal(str(value)) * 100
    if not hundredths.is_finite() or hundredths != hundredths.to_integral_value() or not 0 <= hundredths <= 10_000:
        reason = "must be a percentage from 0 to 100 with at most two decimal places"
        raise Refused(reason, "write a number such as 10 or 12.5")
    return Decimal(str(value))


def _zone(value: object) -> str:
    if not isinstance(value, str) or value not in zone_names():
        raise Refused("is no time zone", zone_hint(value))
    return value


_AS_JSON = PlainSerializer(_plain, when_used="json")
_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Scalar = Annotated[bool | str | Decimal, PlainValidator(_scalar), _AS_JSON, WithJsonSchema(_SCALAR_SCHEMA)]
Ordered = Annotated[
    str | Decimal, PlainValidator(_ordered), _AS_JSON, WithJsonSchema({"type": ["string", "number"]})
]
Number = Annotated[Decimal, PlainValidator(_number), _AS_JSON, WithJsonSchema({"type": "number"})]
Percentage = Annotated[
    Decimal,
    PlainValidator(_percentage),
    _AS_JSON,
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]
Count = Annotated[int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(storable)]
Path = Annotated[str, StringConstraints(pattern=PATH, max_length=200), AfterValidator(storable)]
Duration = Annotated[
    str,
    PlainValidator(_duration),
    WithJsonSchema(
        {
            "type": "string",
            "description": "A length of time: 90s, 15m, 1h, 7d, 12w, or ISO 8601 without months and years.",
            "pattern": r"^([1-9][0-9]{0,9}[smhdw]|P[0-9DTHMSW]+)$",
            "examples": ["7d", "PT1H"],
        }
    ),
]
ZoneName = Annotated[
    str, PlainValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Prague", "UTC"]})
]
Bound = Annotated[
    str,
    PlainValidator(_bound),
    WithJsonSchema({"type": "string", "examples": ["2026-11-27", "2026-11-27T10:00:00Z"]}),
]
Pattern = Annotated[
    str,
    PlainValidator(_pattern),
    WithJsonSchema({"type": "string", "format": "regex", "minLength": 1, "maxLength": MAX_TEXT}),
]
Key = Annotated[str, StringConstraints(pattern=KEY)]
"""Of a segment, a campaign, a stage."""
_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_NAMES_SCHEMA = {"type": "array", "items": _TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_NAMES}
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    Field(min_length=1, max_length=MAX_NAMES, strict=False),
    WithJsonSchema({"description": "One name or several.", "anyOf": [_TEXT_SCHEMA, _NAMES_SCHEMA]}),
]
Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_LIST, strict=False)]


class Model(BaseModel):
    """Of every part of a definition: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
