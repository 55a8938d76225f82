"""What a computed trait may be: one figure over a customer's events (docs/adr/0013-computed-traits.md)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headrace.contracts.segment_hints import Refused
from headrace.contracts.segment_tests import CURRENCY, Between, Where
from headrace.contracts.segment_values import Duration, Model, Names, Path, duration_ms

MAX_UNIQUE = 1_000
DEFAULT_UNIQUE = 100

LOCAL_WEEKDAY = "local.weekday"
LOCAL_HOUR = "local.hour"
"""What `of` may also name: the event's own weekday (mon … sun) and hour, where it happened."""

Figure = Literal[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "most_frequent",
    "unique_list",
    "distinct",
    "days_since",
    "first_at",
    "last_at",
    "usual_range",
]
FIGURES: tuple[Figure, ...] = (
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "most_frequent",
    "unique_list",
    "distinct",
    "days_since",
    "first_at",
    "last_at",
    "usual_range",
)
_ONE_FIGURE = "write for instance count: {} or sum: {of: properties.total}"


class OfEvents(Model):
    """Of the matching events themselves: written `{}`."""


class OfValues(Model):
    """Of the values under a path; `local.weekday` and `local.hour` are when the event happened, where it did."""

    of: Path


class OfNumbers(OfValues):
    """Of the numbers under a path. `currency`: events in another `properties.currency`, or in none, are left
    out."""

    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None


class OfDifferent(OfValues):
    """The different values in the order in which they were first seen, `limit` of them at most."""

    limit: Annotated[int, Field(ge=1, le=MAX_UNIQUE)] = DEFAULT_UNIQUE


Body = OfEvents | OfValues


class EventFigure(Model):
    """Exactly one figure over the events of these names, within a window as in a segment, or ever."""

    name: Names
    where: Where = ()
    count: OfEvents | None = None
    sum: OfNumbers | None = None
    avg: OfNumbers | None = None
    min: OfNumbers | None = None
    max: OfNumbers | None = None
    first: OfValues | None = None
    last: OfValues | None = None
    most_frequent: OfValues | None = None
    unique_list: OfDifferent | None = None
    distinct: OfValues | None = None
    days_since: OfEvents | None = None
    first_at: OfEvents | None = None
    last_at: OfEvents | None = None
    usual_range: OfValues | None = None
    within: Duration | None = None
    between: Between | None = None

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)

    @property
    def figure(self) -> tuple[Figure, Body]:
        """Which figure, and of what."""
        for name in FIGURES:
            if (body := getattr(self, name)) is not None:
                return name, body
        raise ValueError("no figure")

    @property
    def of(self) -> str | None:
        return getattr(self.figure[1], "of", None)

    @property
    def currency(self) -> str | None:
        return getattr(self.figure[1], "currency", None)

    @model_validator(mode="after")
    def _consistent(self) -> "EventFigure":
        used = [name for name in FIGURES if getattr(self, name) is not None]
        if len(used) > 1:
            raise Refused(f"has more than one figure: {' and '.join(used)}", "make a trait of each")
        if not used:
            raise Refused("has no figure", _ONE_FIGURE)
        if self.within is not None and self.between is not None:
            raise Refused("has two windows, within and between", "keep one")
        return self


class SessionFigure(Model):
    """A session is a run of events of any type, each at most `gap` after the one before. `count` of them, their
    average length in seconds, or their average number of pages and screens."""

    gap: Duration = "30m"
    of: Literal["count", "average_length", "pages"]
    within: Duration | None = None

    @property
    def gap_ms(self) -> int:
        return duration_ms(self.gap)

    @property
    def within_ms(self) -> int | None:
        return None if self.within is None else duration_ms(self.within)


class TraitValue(Model):
    event: EventFigure | None = None
    sessions: SessionFigure | None = None

    @model_validator(mode="after")
    def _one(self) -> "TraitValue":
        if (self.event is None) == (self.sessions is None):
            raise Refused("must be exactly one of event and sessions", "keep one, and make a trait of the other")
        return self
