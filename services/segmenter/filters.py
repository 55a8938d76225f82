"""The tests of `where`: which events of a name a condition is about."""

from datetime import UTC, datetime, tzinfo

from headrace.contracts.segment_tests import Local, WhereTest
from services.segmenter.compare import Mismatches, compiled, satisfied
from services.segmenter.paths import EventView, Steps, parse_path
from services.segmenter.zones import local_time, zone_named

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONE_PATH = parse_path("context.timezone")
CURRENCY_PATH = parse_path("properties.currency")


class Filter:
    """True when a value under the path satisfies the test."""

    __slots__ = ("_exists", "_test", "operand", "operator", "steps")

    def __init__(self, steps: Steps, operator: str, operand: object) -> None:
        self.steps = steps
        self.operator = operator
        self.operand = operand
        self._test, self._exists = compiled(operator, operand)

    def matches(self, view: EventView, mismatches: Mismatches) -> bool:
        return satisfied(view.values(self.steps), self._test, self._exists, mismatches)


class LocalFilter:
    """True when the event happened on one of the weekdays, in one of the hours, where it happened."""

    __slots__ = ("_days", "_hours", "_zone")

    def __init__(self, local: Local) -> None:
        self._days = None if local.weekday is None else frozenset(map(WEEKDAYS.index, local.weekday))
        self._hours = local.hours
        self._zone = zone_named(local.timezone) or UTC

    def matches(self, view: EventView, mismatches: Mismatches) -> bool:
        clock = clock_of(view, self._zone)
        if clock is None or (self._days is not None and clock.weekday() not in self._days):
            return False
        return self._hours is None or self._hours[0] <= clock.hour < self._hours[1]


def clock_of(view: EventView, otherwise: tzinfo) -> datetime | None:
    """The clock on the wall where the event happened; None beyond the calendar."""
    named = [zone for name in view.values(_ZONE_PATH) if (zone := zone_named(_hashable(name))) is not None]
    return local_time(view.ts, named[0] if named else otherwise)


AnyFilter = Filter | LocalFilter


def filter_of(test: WhereTest) -> AnyFilter:
    if test.local is not None:
        return LocalFilter(test.local)
    assert test.path is not None  # the contract sees to it
    return Filter(parse_path(test.path), *test.operator)


def _hashable(value: object) -> object:
    return value if isinstance(value, str) else None
