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
from headrace.contracts.segment_limits import MAX_LIST
from headrace.contracts.segment_patterns import pattern_problem

MAX_DURATION_MS = 100 * 366 * 86_400_000
MAX_DIGITS = 15  # what a JSON number keeps in every reader
MAX_TEXT = 1_000

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SHORT_DURATION = re.compile(r"([1-9][0-9]{0,9})([smhdw])", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,10})S)?)?)", re.ASCII
)
_ISO_UNITS = ("w", "d", "h", "m", "s")
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
        raise ValueError("must be a duration such as 90s, 15m, 1h, 7d, 12w or PT1H30M")
    if not 0 < millis <= MAX_DURATION_MS:
        raise ValueError("must be longer than nothing and at most 100 years")
    return millis


def bound_ms(text: str) -> Millis:
    """A bound of an absolute window in milliseconds since the epoch: a day (its beginning in UTC) or an instant
    with its offset. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("must be a day such as 2026-11-27 or an instant such as 2026-11-27T10:00:00Z")
    parsed = datetime.fromisoformat(text if len(text) > len("2026-11-27") else f"{text}T00:00:00+00:00")
    return int(parsed.timestamp() * 1000) if not parsed.microsecond else round(parsed.timestamp() * 1000)


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise ValueError(f"must have at most {MAX_DIGITS} digits")
    number = Decimal(str(value))
    if (
        not number.is_finite()
        or abs(number.adjusted()) > 30
        or len(number.normalize().as_tuple().digits) > MAX_DIGITS
    ):
        raise ValueError(f"must be finite and have at most {MAX_DIGITS} digits")
    return number


def storable(text: str) -> str:
    """The text, if every store can hold it. Raises ValueError."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not hold U+0000 or half of a surrogate pair")
    return text


def _scalar(value: object) -> bool | str | Decimal:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"must have at most {MAX_TEXT} characters")
        return storable(value)
    return _number(value)


def _plain(value: bool | str | Decimal) -> bool | str | int | float:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _ordered(value: object) -> str | Decimal:
    if isinstance(value, bool):
        raise ValueError("must be a number or text")
    scalar = _scalar(value)
    assert not isinstance(scalar, bool)
    return scalar


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**MAX_DIGITS:
        raise ValueError("must be a whole number from 0")
    return value


def _duration(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 90s, 15m, 1h, 7d or 12w")
    duration_ms(value)
    return value


def _bound(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a day such as 2026-11-27 or an instant such as 2026-11-27T10:00:00Z, in quotes")
    bound_ms(value)
    return value


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"must be a regular expression of at most {MAX_TEXT} characters")
    if problem := pattern_problem(value):
        raise ValueError(problem)
    return storable(value)


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _one_place(number: float | int | Decimal) -> object:
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        raise ValueError("must be a number")
    hundredths = Decimal(str(number)) * 100
    if not hundredths.is_finite() or hundredths != hundredths.to_integral_value() or not 0 <= hundredths <= 10_000:
        raise ValueError("must be a percentage from 0 to 100 with at most two decimal places")
    return Decimal(str(number))


_AS_JSON = PlainSerializer(_plain, when_used="json")
_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Scalar = Annotated[bool | str | Decimal, PlainValidator(_scalar), _AS_JSON, WithJsonSchema(_SCALAR_SCHEMA)]
Ordered = Annotated[
    str | Decimal, PlainValidator(_ordered), _AS_JSON, WithJsonSchema({"type": ["string", "number"]})
]
Number = Annotated[Decimal, PlainValidator(_number), _AS_JSON, WithJsonSchema({"type": "number"})]
Percentage = Annotated[
    Decimal,
    PlainValidator(_one_place),
    _AS_JSON,
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.01}),
]
Count = Annotated[int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(storable)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\[\]]+(\[\])?(\.[^.\[\]]+(\[\])?)*$", max_length=200)]
Duration = Annotated[
    str, PlainValidator(_duration), WithJsonSchema({"type": "string", "examples": ["7d", "PT1H"]})
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
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
"""Of a segment, a campaign, a stage."""
_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_NAMES_SCHEMA = {"type": "array", "items": _TEXT_SCHEMA, "minItems": 1, "maxItems": 100}
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    Field(min_length=1, max_length=100, strict=False),
    WithJsonSchema({"anyOf": [_TEXT_SCHEMA, _NAMES_SCHEMA]}),
]
Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_LIST, strict=False)]


class Model(BaseModel):
    """Of every part of a definition: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
