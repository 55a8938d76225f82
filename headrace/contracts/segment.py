"""Segment definitions (DESIGN §6): one language for API, CLI and console, no string expressions.

`parse_segment` is the way in; it answers a bad definition with every problem's path, reason and suggestion.
`canonical` is the way to store and compare one. Conditions not built yet are refused, never ignored.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from headrace.contracts.errors import InvalidDefinition, Problem
from headrace.contracts.segment_lint import MAX_LIST, lint

MAX_WINDOW_COUNT = 10_000
MAX_DURATION_MS = 100 * 366 * 86_400_000
MAX_DIGITS = 15  # what a JSON number keeps in every reader
MAX_TEXT = 1_000

_canonical = msgspec.json.Encoder(order="deterministic")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SHORT_DURATION = re.compile(r"([1-9][0-9]{0,9})([smhdw])", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,10})S)?)?)", re.ASCII
)
_ISO_UNITS = ("w", "d", "h", "m", "s")


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


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not hold U+0000 or half of a surrogate pair")
    return text


def _scalar(value: object) -> bool | str | Decimal:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"must have at most {MAX_TEXT} characters")
        return _storable(value)
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


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_AS_JSON = PlainSerializer(_plain, when_used="json")
_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Scalar = Annotated[bool | str | Decimal, PlainValidator(_scalar), _AS_JSON, WithJsonSchema(_SCALAR_SCHEMA)]
Ordered = Annotated[
    str | Decimal, PlainValidator(_ordered), _AS_JSON, WithJsonSchema({"type": ["string", "number"]})
]
Number = Annotated[Decimal, PlainValidator(_number), _AS_JSON, WithJsonSchema({"type": "number"})]
Count = Annotated[int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\[\]]+(\[\])?(\.[^.\[\]]+(\[\])?)*$", max_length=200)]
Duration = Annotated[
    str, PlainValidator(_duration), WithJsonSchema({"type": "string", "examples": ["7d", "PT1H"]})
]
SegmentId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_NAMES_SCHEMA = {"type": "array", "items": _TEXT_SCHEMA, "minItems": 1, "maxItems": 100}
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    Field(min_length=1, max_length=100, strict=False),
    WithJsonSchema({"anyOf": [_TEXT_SCHEMA, _NAMES_SCHEMA]}),
]
Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_LIST, strict=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class _Test(_Model):
    """Exactly one operator is set (the linter sees to it); `operator` names it with its operand."""

    @property
    def operator(self) -> tuple[str, Any]:
        for name in type(self).model_fields:
            if name in _OPERATOR_FIELDS and (operand := getattr(self, name)) is not None:
                return name.rstrip("_"), operand
        raise ValueError("no operator")

    @model_validator(mode="after")
    def _one_operator(self) -> "_Test":
        used = [
            name
            for name in type(self).model_fields
            if name in _OPERATOR_FIELDS and getattr(self, name) is not None
        ]
        if len(used) != 1:
            raise ValueError("must have exactly one operator")
        return self


class ValueTest(_Test):
    """Compares a value of any JSON type. A missing value, or one of another type, makes it false."""

    eq: Scalar | None = None
    ne: Scalar | None = None
    in_: Scalars | None = Field(None, alias="in")
    not_in: Scalars | None = None
    gt: Ordered | None = None
    gte: Ordered | None = None
    lt: Ordered | None = None
    lte: Ordered | None = None
    between: Annotated[tuple[Ordered, Ordered], Field(strict=False)] | None = None
    contains: Scalar | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    exists: bool | None = None


class TraitTest(ValueTest):
    """`name` is the trait, `address.city` a value inside of one."""

    name: Path


class WhereTest(ValueTest):
    """`path` reaches into the event: `properties.currency`, `properties.products[].sku`, `context.locale`.
    With several values under a path, one that satisfies is enough."""

    path: Path


class CountTest(_Test):
    """How many matching events."""

    eq: Count | None = None
    gt: Count | None = None
    gte: Count | None = None
    lt: Count | None = None
    lte: Count | None = None
    between: Annotated[tuple[Count, Count], Field(strict=False)] | None = None


class SumTest(_Test):
    """The exact sum of the numbers under `of` over matching events; of none it is 0."""

    of: Path
    eq: Number | None = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None
    between: Annotated[tuple[Number, Number], Field(strict=False)] | None = None


_OPERATOR_FIELDS = frozenset(ValueTest.model_fields) | frozenset(CountTest.model_fields)


class EventTest(_Model):
    """An aggregate over the customer's events of these names. Without `count` or `sum`: at least one.

    `within` is a sliding window: an event counts at t when its instant is later than t - within.
    """

    name: Names
    where: Annotated[tuple[WhereTest, ...], Field(strict=False)] = ()
    count: CountTest | None = None
    sum: SumTest | None = None
    within: Duration | None = None

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)

    @model_validator(mode="after")
    def _countable(self) -> "EventTest":
        if self.count is not None and self.within is not None:
            operand = self.count.operator[1]
            if max(operand if isinstance(operand, tuple) else (operand,)) > MAX_WINDOW_COUNT:
                raise ValueError(f"a count within a window may ask for at most {MAX_WINDOW_COUNT}")
        return self


class _Leaf(_Model):
    @cached_property
    def key(self) -> bytes:
        """Canonical JSON: equal for conditions that ask the same."""
        return _canonical.encode(self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Trait(_Leaf):
    trait: TraitTest


class EventCondition(_Leaf):
    event: EventTest


class All(_Model):
    all: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class AnyOf(_Model):
    any: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class Not(_Model):
    not_: "Condition" = Field(alias="not")


def _kind(value: Any) -> str:
    """The one key of a condition, written or parsed."""
    key = next(iter(value if isinstance(value, dict) else type(value).model_fields), "")
    return str(key).rstrip("_")


Condition = Annotated[
    Annotated[Trait, Tag("trait")]
    | Annotated[EventCondition, Tag("event")]
    | Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(_kind),
]
Leaf = Trait | EventCondition


class SegmentDefinition(_Model):
    """A segment: the customers for whom `when` is true, at every instant."""

    kind: Literal["segment"] = "segment"
    id: SegmentId
    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
    when: Condition

    def canonical(self) -> dict[str, Any]:
        """The definition as JSON data, defaults left out: equal for equal definitions, parses to itself."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True) | {
            "kind": self.kind
        }


def parse_segment(document: object) -> SegmentDefinition:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    problems = lint(document)
    if problems:
        raise InvalidDefinition(problems)
    try:
        return SegmentDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDefinition(list(_problems(error, document))) from error


_REASONS = {
    "string_pattern_mismatch": "is not written as it must be",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "too_short": "needs at least one item",
    "string_too_short": "is empty",
}
_SUGGESTIONS = {
    "string_pattern_mismatch": "ids are 1 to 64 of a-z, 0-9 and -; paths look like properties.products[].price",
    "string_type": "put it in quotes",
    "tuple_type": "write a list: [a, b]",
    "bool_type": "write true or false",
}


def _problems(error: ValidationError, document: object) -> Iterator[Problem]:
    details = [(".".join(map(str, _written(detail["loc"], document))), detail) for detail in error.errors()]
    for path, detail in details:
        if detail["type"] == "too_short" and any(other.startswith(f"{path}.") for other, _ in details):
            continue  # only because its items are wrong
        reason = _REASONS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        yield Problem(path, reason[:1].lower() + reason[1:], _SUGGESTIONS.get(detail["type"], ""))


def _written(location: tuple[int | str, ...], document: object) -> Iterator[int | str]:
    """The part of pydantic's location that is in the document: it also names union branches."""
    node: Any = document
    for part in location:
        inside = (
            part in node if isinstance(node, dict) else isinstance(node, list | tuple) and isinstance(part, int)
        )
        if inside and not (isinstance(part, int) and part >= len(node)):
            node = node[part]
            yield part
