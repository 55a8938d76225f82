"""What is made of the values of many events: avg, min, max, distinct, first, last, and the three figures of RFM.

Each aggregate says what of an event it stores (plain data, exact), how what it stores of all events ever adds up
(in any order), and what a list of stored values, ascending by their events, comes to. None: of nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from services.segmenter.compare import Mismatches
from services.segmenter.journal import ZERO
from services.segmenter.paths import EXACT, decode_json, number

Stored = Any
"""What is kept of one event: text, numbers, lists of them. Decimals are text."""

Moment = tuple[int, str, str]
"""An event's instant, source and messageId: its place among all events."""

_json = msgspec.json.Encoder(decimal_format="number")
_LONG = 40  # characters from which on a text is kept as its hash


class Aggregate(Protocol):
    """`keep` is how many of the newest values decide, where not all do (0: all); `nothing` what it is of no event
    (None: no comparison is true)."""

    @property
    def keep(self) -> int: ...

    @property
    def nothing(self) -> int | None: ...

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        """What an event with these values under the path is kept as; None when it has no part."""
        ...

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        """What is kept of all events ever, with one more; of different values the first `most` that come."""
        ...

    def of_base(self, base: Stored) -> Any:
        """What all events ever come to."""
        ...

    def of_values(self, values: Sequence[Stored]) -> Any:
        """What these, one at least, come to."""
        ...

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        """What is left without the first, without the first two, and so on; None at the end."""
        ...


class Average:
    """The mean of all numbers, as an exact fraction. Stored: [their sum, how many]."""

    keep = 0
    nothing = None

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = _numbers(values, mismatches)
        return [str(_total(exact)), len(exact)] if exact else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        total, count = base or ("0", 0)
        return [str(EXACT.add(Decimal(total), Decimal(value[0]))), count + value[1]]

    def of_base(self, base: Stored) -> Any:
        return Fraction(Decimal(base[0])) / base[1]

    def of_values(self, values: Sequence[Stored]) -> Any:
        return Fraction(_total(Decimal(total) for total, _ in values)) / sum(count for _, count in values)

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        total, left = _total(Decimal(total) for total, _ in values), sum(count for _, count in values)
        for gone, count in values:
            total, left = EXACT.subtract(total, Decimal(gone)), left - count
            yield Fraction(total) / left if left else None


class Extreme:
    """The least or the greatest of all numbers."""

    keep = 0
    nothing = None

    def __init__(self, *, greatest: bool) -> None:
        self._pick: Any = max if greatest else min

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = _numbers(values, mismatches)
        return str(self._pick(exact)) if exact else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return value if base is None else str(self._pick(Decimal(base), Decimal(value)))

    def of_base(self, base: Stored) -> Any:
        return Decimal(base)

    def of_values(self, values: Sequence[Stored]) -> Any:
        return self._pick(map(Decimal, values))

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        left: list[Decimal | None] = [None]
        for value in reversed(values[1:]):
            one = Decimal(value)
            left.append(one if left[-1] is None else self._pick(left[-1], one))
        return reversed(left)


class Distinct:
    """How many different values. Stored: their keys."""

    keep = 0
    nothing = 0

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        keys = {key for value in values if (key := value_key(value)) is not None}
        mismatches.count += sum(value_key(value) is None for value in values)
        return sorted(keys) or None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return list(dict.fromkeys([*(base or ()), *value]))[:most]

    def of_base(self, base: Stored) -> Any:
        return len(base)

    def of_values(self, values: Sequence[Stored]) -> Any:
        return len({key for keys in values for key in keys})

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        seen: set[str] = set()
        left: list[int | None] = [None]
        for keys in reversed(values[1:]):
            seen.update(keys)
            left.append(len(seen))
        return reversed(left)


class Edge:
    """The values of the first or the last event. Stored: their JSON text."""

    nothing = None

    def __init__(self, *, last: bool) -> None:
        self._last = last
        self.keep = 1 if last else 0

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return _json.encode(values) if values else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        if base is not None and (tuple(base[0]) > moment) is self._last:
            return base
        return [list(moment), value]

    def of_base(self, base: Stored) -> Any:
        return decode_json(base[1])

    def of_values(self, values: Sequence[Stored]) -> Any:
        return decode_json(values[-1 if self._last else 0])

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        for place in range(1, len(values)):
            yield decode_json(values[-1 if self._last else place])
        yield None


class Spending:
    """Recency, frequency and monetary value: (last instant, how many events, sum). Stored: [instant, sum]."""

    keep = 0
    nothing = None

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return str(_total(_numbers(values, mismatches)))

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        last, count, total = base or (moment[0], 0, "0")
        return [max(last, moment[0]), count + 1, str(EXACT.add(Decimal(total), Decimal(value)))]

    def of_base(self, base: Stored) -> Any:
        return base[0], base[1], Decimal(base[2])

    def of_values(self, values: Sequence[Stored]) -> Any:
        return len(values), _total(map(Decimal, values))

    def shrinking(self, values: Sequence[Stored]) -> Iterator[Any]:
        raise NotImplementedError("every event that leaves changes the scores")


AGGREGATES: dict[str, Aggregate] = {
    "avg": Average(),
    "min": Extreme(greatest=False),
    "max": Extreme(greatest=True),
    "distinct": Distinct(),
    "first": Edge(last=False),
    "last": Edge(last=True),
    "rfm": Spending(),
}


def value_key(value: Any) -> str | None:
    """Text that is equal for equal booleans, numbers and texts; None for everything else."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        if len(value) < _LONG:
            return f"s{value}"
        return "h" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    exact = number(value)
    return None if exact is None else f"n{exact.normalize(EXACT) if exact else 0}"


def _numbers(values: Sequence[Any], mismatches: Mismatches) -> list[Decimal]:
    exact = [value for value in map(number, values) if value is not None]
    mismatches.count += len(values) - len(exact)
    return exact


def _total(values: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, values, ZERO)
