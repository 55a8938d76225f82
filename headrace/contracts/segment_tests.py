"""Tests of values and aggregates inside of conditions: exactly one operator each (DESIGN §6)."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_limits import MAX_WINDOW_COUNT
from headrace.contracts.segment_values import (
    Bound,
    Count,
    Duration,
    Model,
    Names,
    Number,
    Ordered,
    Path,
    Pattern,
    Scalar,
    Scalars,
    Text,
    ZoneName,
    bound_ms,
    duration_ms,
)

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Aggregation = Literal["count", "sum", "avg", "min", "max", "distinct", "first", "last"]
CURRENCY = r"^[A-Za-z]{3}$"


def _hour(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 24:
        hour = value.partition(":")[0] if isinstance(value, str) else ""
        hint = (
            f"write {int(hour)}" if hour.isdecimal() and int(hour[:3]) <= 24 else "write [18, 24]: from 18:00 on"
        )
        raise Refused("must be a whole hour from 0 to 24", hint)
    return value


Hour = Annotated[int, PlainValidator(_hour), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 24})]

AGGREGATIONS: tuple[Aggregation, ...] = ("count", "sum", "avg", "min", "max", "distinct", "first", "last")


class Test(Model):
    """Exactly one operator is set; `operator` names it with its operand."""

    @property
    def operator(self) -> tuple[str, Any]:
        for name in type(self).model_fields:
            if name in OPERATORS and (operand := getattr(self, name)) is not None:
                return name.rstrip("_"), operand
        raise ValueError("no operator")

    @model_validator(mode="after")
    def _one_operator(self) -> "Test":
        used = [name for name in type(self).model_fields if name in OPERATORS and getattr(self, name) is not None]
        if len(used) != 1:
            raise Refused("must have exactly one operator", "write for instance eq: gold, gte: 2 or exists: true")
        return self


class ValueTest(Test):
    """Compares a value of any JSON type. A missing value, or one of another type, makes it false."""

    eq: Scalar | None = None
    ne: Scalar | None = None
    in_: Scalars | None = Field(default=None, alias="in")
    not_in: Scalars | None = None
    gt: Ordered | None = None
    gte: Ordered | None = None
    lt: Ordered | None = None
    lte: Ordered | None = None
    between: Annotated[tuple[Ordered, Ordered], Field(strict=False)] | None = None
    contains: Scalar | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    matches: Pattern | None = None


class Anniversary(Model):
    """From `within` before the anniversary's day begins until that day is over, where the customer lives."""

    within: Duration

    @property
    def within_ms(self) -> int:
        return duration_ms(self.within)

    @model_validator(mode="after")
    def _within_a_year(self) -> "Anniversary":
        if self.within_ms > 366 * 86_400_000:
            raise Refused("is longer than a year, and an anniversary comes every year", "write at most 366d")
        return self


class TraitTest(ValueTest):
    """`name` is the trait, `address.city` a value inside of one. The last four compare a date with now."""

    name: Path
    exists: bool | None = None
    within_last: Duration | None = None
    older_than: Duration | None = None
    within_next: Duration | None = None
    anniversary: Anniversary | None = None


class Local(Model):
    """The event's own weekday and hour: in the zone of its `context.timezone`, else in `timezone` (UTC)."""

    weekday: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7, strict=False)] | None = None
    hours: Annotated[tuple[Hour, Hour], Field(strict=False)] | None = None
    timezone: ZoneName | None = None

    @model_validator(mode="after")
    def _something(self) -> "Local":
        if self.weekday is None and self.hours is None:
            raise Refused("needs weekday, hours, or both", "write for instance {weekday: [sat, sun]}")
        if self.hours is not None and self.hours[0] >= self.hours[1]:
            first, second = self.hours
            hint = f"over midnight, put [{first}, 24] and [0, {second}] under any:" if second else "write [18, 24]"
            raise Refused("its hours must go from an earlier to a later one", hint)
        return self


class WhereTest(ValueTest):
    """`path` reaches into the event: `properties.currency`, `properties.products[].sku`, `context.locale`.
    With several values under a path, one that satisfies is enough. `local` has no path."""

    path: Path | None = None
    exists: bool | None = None
    local: Local | None = None

    @model_validator(mode="after")
    def _path_unless_local(self) -> "WhereTest":
        if (self.path is None) != (self.local is not None):
            if self.path is None:
                raise Refused("needs a path", "add path: properties.currency")
            raise Refused("has a path beside local, which is about the event's time", "make two tests of it")
        return self


class CountTest(Test):
    """How many matching events."""

    eq: Count | None = None
    gt: Count | None = None
    gte: Count | None = None
    lt: Count | None = None
    lte: Count | None = None
    between: Annotated[tuple[Count, Count], Field(strict=False)] | None = None


class DistinctTest(CountTest):
    """How many different values (text, numbers, true and false) stand under `of`."""

    of: Path


class NumberTest(Test):
    """An aggregate of all the numbers under `of` of all matching events, exact. `currency`: of events in another
    `properties.currency`, or in none, nothing counts."""

    of: Path
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    eq: Number | None = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None
    between: Annotated[tuple[Number, Number], Field(strict=False)] | None = None


class SumTest(NumberTest):
    """The sum; of nothing it is 0."""


class EdgeTest(ValueTest):
    """The value under `of` of the first, or last, matching event that has one."""

    of: Path


OPERATORS = frozenset(
    {*ValueTest.model_fields, *CountTest.model_fields, "exists", "local"}
    | {"within_last", "older_than", "within_next", "anniversary"}
)


class Between(Model):
    """An absolute window: from <= ts < to."""

    from_: Bound = Field(alias="from")
    to: Bound

    @property
    def bounds(self) -> tuple[int, int]:
        """In milliseconds."""
        return bound_ms(self.from_), bound_ms(self.to)

    @model_validator(mode="after")
    def _ascending(self) -> "Between":
        if self.bounds[0] >= self.bounds[1]:
            raise Refused("from must be before to", "exchange the two; from belongs to the window, to does not")
        return self


Where = Annotated[tuple[WhereTest, ...], Field(strict=False)]


class EventTest(Model):
    """An aggregate over the customer's events of these names; without one: at least one event.

    `within` is a sliding window: an event counts at t when its instant is later than t - within. `between` is an
    absolute one.
    """

    name: Names
    where: Where = ()
    count: CountTest | None = None
    sum: SumTest | None = None
    avg: NumberTest | None = None
    min: NumberTest | None = None
    max: NumberTest | None = None
    distinct: DistinctTest | None = None
    first: EdgeTest | None = None
    last: EdgeTest | None = None
    within: Duration | None = None
    between: Between | None = None

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)

    @property
    def aggregate(self) -> tuple[Aggregation, CountTest | NumberTest | EdgeTest]:
        """Which aggregate is compared, and how."""
        for name in AGGREGATIONS:
            if (test := getattr(self, name)) is not None:
                return name, test
        return "count", _AT_LEAST_ONE

    @model_validator(mode="before")
    @classmethod
    def _currency_in_its_aggregate(cls, data: Any) -> Any:
        """`currency` may also stand beside the aggregate."""
        if not isinstance(data, dict) or "currency" not in data:
            return data
        if not isinstance(data["currency"], str) or not re.fullmatch(CURRENCY, data["currency"]):
            raise Refused("has a currency that is not three letters", "write for instance currency: CZK")
        rest = {key: value for key, value in data.items() if key != "currency"}
        money = [key for key in ("sum", "avg", "min", "max") if isinstance(rest.get(key), dict)]
        if len(money) != 1:
            raise Refused("has a currency without one sum, avg, min or max", "leave the currency out")
        rest[money[0]] = {"currency": data["currency"], **rest[money[0]]}
        return rest

    @model_validator(mode="after")
    def _consistent(self) -> "EventTest":
        if sum(getattr(self, name) is not None for name in AGGREGATIONS) > 1:
            raise Refused("has more than one aggregate", "keep one, put the other in a second event under all:")
        if self.within is not None and self.between is not None:
            raise Refused("has two windows, within and between", "keep one, or make two conditions under all:")
        if self.count is not None and self.within is not None:
            operand = self.count.operator[1]
            if max(operand if isinstance(operand, tuple) else (operand,)) > MAX_WINDOW_COUNT:
                reason = f"asks for a count above {MAX_WINDOW_COUNT} within a window"
                raise Refused(reason, "leave the window out, or ask for less")
        return self


_AT_LEAST_ONE = CountTest(gte=1)
