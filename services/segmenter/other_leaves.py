"""Leaves over dates, places, chance and other segments."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from math import asin, cos, radians, sin, sqrt
from operator import itemgetter

from headrace.contracts.segment_conditions import GeoTest, PercentTest
from headrace.contracts.segment_tests import TraitTest
from headrace.contracts.segment_values import duration_ms
from services.segmenter.compare import Mismatches
from services.segmenter.customer import Customer
from services.segmenter.latest import LOCATION, zone_of
from services.segmenter.leaves import trait_values
from services.segmenter.paths import parse_path
from services.segmenter.timed import NEVER, TimedLeaf
from services.segmenter.zones import anniversary, date_in, date_ms

EARTH_KM = 6371.0088
"""Mean radius (IUGG)."""

DATES = frozenset({"within_last", "older_than", "within_next", "anniversary"})

_AHEAD = 9  # years in which a 29 February surely comes
_BUCKETS = 10_000
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DateTest:
    """How a date is compared with now."""

    __slots__ = ("_mismatches", "_operator", "_window")

    def __init__(self, test: TraitTest, mismatches: Mismatches) -> None:
        self._operator, operand = test.operator
        self._window = operand.within_ms if self._operator == "anniversary" else duration_ms(operand)
        self._mismatches = mismatches

    def spans(self, text: object, zone: tzinfo, low: int, high: int) -> Iterator[tuple[int, int]]:
        """From when until before when it is true of this date, as far as [low, high] may be touched."""
        window = self._window
        date = date_ms(text, zone) if isinstance(text, str) else None
        if date is None or not isinstance(text, str):
            self._mismatches.count += 1
        elif self._operator == "within_last":
            yield date, date + window
        elif self._operator == "older_than":
            yield date + window, NEVER
        elif self._operator == "within_next":
            yield date - window, date
        elif (day := date_in(text, zone)) is not None:
            for year in _years(low, min(high, low + _AHEAD * 366 * _DAY_MS), window):
                if year > day.year and (span := anniversary(day, year, zone)) is not None:
                    yield span[0] - window, span[1]


class DateLeaf(TimedLeaf):
    """A date in a trait compared with now."""

    __slots__ = ("_test", "root", "steps")

    def __init__(self, index: int, key: str, test: TraitTest, mismatches: Mismatches) -> None:
        super().__init__(index, key)
        self.steps = parse_path(test.name)
        self.root = self.steps[0][0]
        self._test = DateTest(test, mismatches)

    def truth(self, customer: Customer, now: int) -> bool:
        return self._holds(customer, customer.traits.get(self.root), now)

    def past(self, customer: Customer, instant: int) -> bool:
        return self._holds(customer, customer.trait_at(self.root, instant), instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterator[int]:
        values = [customer.traits.get(self.root)]
        for at, value in customer.changed.get(self.root, ()):
            values.append(value)
            if low < at <= high:
                yield at
        for value in dict.fromkeys(values):
            for begin, end in self._spans(customer, value, low, high):
                yield from (instant for instant in (begin, end) if low < instant <= high)

    def _holds(self, customer: Customer, value: bytes | None, now: int) -> bool:
        return any(begin <= now < end for begin, end in self._spans(customer, value, now, now))

    def _spans(self, customer: Customer, value: bytes | None, low: int, high: int) -> Iterator[tuple[int, int]]:
        """From when until before when it is true, as far as [low, high] may be touched."""
        zone = zone_of(customer)
        for text in trait_values(value, self.steps):
            yield from self._test.spans(text, zone, low, high)


class GeoLeaf(TimedLeaf):
    """Whether the last known location is near."""

    __slots__ = ("_of", "_within")

    def __init__(self, index: int, key: str, test: GeoTest) -> None:
        super().__init__(index, key)
        self._within = test.within_km
        self._of = test.of

    def truth(self, customer: Customer, now: int) -> bool:
        known = customer.latest.get(LOCATION)
        return self._near(known[-1][3]) if known else False

    def past(self, customer: Customer, instant: int) -> bool:
        known = customer.latest.get(LOCATION, ())
        place = bisect_right(known, instant, key=itemgetter(0))
        return place > 0 and self._near(known[place - 1][3])

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        return [item[0] for item in customer.latest.get(LOCATION, ()) if low < item[0] <= high]

    def next_change(self, customer: Customer, now: int) -> int:
        return 0

    def kilometres(self, customer: Customer) -> float | None:
        known = customer.latest.get(LOCATION)
        return distance_km(known[-1][3], self._of) if known else None

    def _near(self, place: Sequence[float]) -> bool:
        return distance_km(place, self._of) <= self._within


class PercentLeaf(TimedLeaf):
    """A stable part of all customers."""

    __slots__ = ("_from", "_salt", "_to")

    def __init__(self, index: int, key: str, test: PercentTest) -> None:
        super().__init__(index, key)
        self._from, self._to, self._salt = int(test.from_ * 100), int(test.to * 100), test.salt

    def truth(self, customer: Customer, now: int) -> bool:
        return self._from <= bucket(self._salt, customer.profile_id) < self._to

    def past(self, customer: Customer, instant: int) -> bool:
        return self.truth(customer, instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        return ()


class MemberLeaf(TimedLeaf):
    """Membership as it stands: of a live segment between its transitions, of a paused one until it is resumed."""

    __slots__ = ("member", "segment_id")

    def __init__(self, index: int, key: str, segment_id: str, *, member: bool) -> None:
        super().__init__(index, key)
        self.segment_id = segment_id
        self.member = member

    def truth(self, customer: Customer, now: int) -> bool:
        return (self.segment_id in customer.members) is self.member

    def past(self, customer: Customer, instant: int) -> bool:
        return self.truth(customer, instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        return ()


def bucket(salt: str, profile_id: str) -> int:
    """0 to 9,999."""
    digest = blake2b(f"{salt}\x1f{profile_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % _BUCKETS


def distance_km(one: Sequence[float], other: Sequence[float]) -> float:
    """Along the great circle (haversine), of (latitude, longitude) in degrees."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(radians, place)) for place in (one, other))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, half)))


def _years(low: int, high: int, window: int) -> range:
    """The years in which an anniversary's span may touch [low, high]."""
    return range(_year(low) - 1, _year(high + window) + 2)


def _year(instant: int) -> int:
    try:
        return (_EPOCH + timedelta(milliseconds=instant)).year
    except OverflowError:
        return 9998 if instant > 0 else 1
