"""What is made of the values of many events: avg, min, max, distinct, first, last, and the three figures of RFM.

Each aggregate says what of an event it stores (plain data, exact), how what it stores of all events ever adds up
(in any order), what a list of stored values, ascending by their events, comes to, and how a window over them is
moved (`Sliding`). None: of nothing.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache, reduce
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

    def sliding(self) -> "Sliding":
        """An empty window."""
        ...

    def outdoes(self, later: Stored, earlier: Stored) -> bool:
        """Whether the earlier of two values can never matter, as long as nobody looks back."""
        ...


class Sliding(Protocol):
    """A window that takes values in at its new end and lets them go at its old one."""

    def enter(self, ts: int, value: Stored) -> None: ...

    def leave(self, value: Stored) -> None: ...

    def result(self) -> Any:
        """What the window comes to; None when it is empty."""
        ...


class _Plain:
    """What most aggregates have in common: all values decide."""

    keep = 0
    nothing: int | None = None

    def outdoes(self, later: Stored, earlier: Stored) -> bool:
        return False


class Average(_Plain):
    """The mean of all numbers, as (their sum, how many): `mean_test` compares it without a division. Stored: the
    same, the sum as text."""

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = _numbers(values, mismatches)
        return [str(_total(exact)), len(exact)] if exact else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        total, count = base or ("0", 0)
        return [str(EXACT.add(_decimal(total), _decimal(value[0]))), count + value[1]]

    def of_base(self, base: Stored) -> Any:
        return _decimal(base[0]), base[1]

    def of_values(self, values: Sequence[Stored]) -> Any:
        return _total(_decimal(total) for total, _ in values), sum(count for _, count in values)

    def sliding(self) -> "Sliding":
        return _SlidingSum()


class Extreme(_Plain):
    """The least or the greatest of all numbers."""

    def __init__(self, *, greatest: bool) -> None:
        self._pick: Any = max if greatest else min

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = _numbers(values, mismatches)
        return str(self._pick(exact)) if exact else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return value if base is None else str(self._pick(_decimal(base), _decimal(value)))

    def of_base(self, base: Stored) -> Any:
        return _decimal(base)

    def of_values(self, values: Sequence[Stored]) -> Any:
        return self._pick(map(_decimal, values))

    def sliding(self) -> "Sliding":
        return _SlidingExtreme(self)

    def outdoes(self, later: Stored, earlier: Stored) -> bool:
        one, other = _decimal(later), _decimal(earlier)
        return bool(self._pick(one, other) == one)


class Distinct(_Plain):
    """How many different values. Stored: their keys."""

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

    def sliding(self) -> "Sliding":
        return _SlidingDistinct()


class Edge(_Plain):
    """The values of the first or the last event. Stored: their JSON text."""

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

    def sliding(self) -> "Sliding":
        return _SlidingEdge(-1 if self._last else 0)


class Spending(_Plain):
    """Frequency and monetary value of RFM, with recency of all events ever: (how many events, sum), (last instant,
    how many, sum). Stored: the sum."""

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return str(_total(_numbers(values, mismatches)))

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        last, count, total = base or (moment[0], 0, "0")
        return [max(last, moment[0]), count + 1, str(EXACT.add(_decimal(total), _decimal(value)))]

    def of_base(self, base: Stored) -> Any:
        return base[0], base[1], _decimal(base[2])

    def of_values(self, values: Sequence[Stored]) -> Any:
        return len(values), _total(map(_decimal, values))

    def sliding(self) -> "Sliding":
        return _SlidingSpending()


class _SlidingSum:
    def __init__(self) -> None:
        self._total = ZERO
        self._count = 0

    def enter(self, ts: int, value: Stored) -> None:
        self._total, self._count = EXACT.add(self._total, _decimal(value[0])), self._count + value[1]

    def leave(self, value: Stored) -> None:
        self._total, self._count = EXACT.subtract(self._total, _decimal(value[0])), self._count - value[1]

    def result(self) -> Any:
        return (self._total, self._count) if self._count else None


class _SlidingExtreme:
    """Keeps only the values that may yet be the extreme: each outdoes those behind it."""

    def __init__(self, extreme: Extreme) -> None:
        self._outdoes = extreme.outdoes
        self._values: deque[Stored] = deque()

    def enter(self, ts: int, value: Stored) -> None:
        while self._values and self._values[-1] != value and self._outdoes(value, self._values[-1]):
            self._values.pop()
        self._values.append(value)

    def leave(self, value: Stored) -> None:
        if self._values[0] == value:
            self._values.popleft()

    def result(self) -> Any:
        return _decimal(self._values[0]) if self._values else None


class _SlidingDistinct:
    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def enter(self, ts: int, value: Stored) -> None:
        self._times.update(value)

    def leave(self, value: Stored) -> None:
        for key in value:
            self._times[key] -= 1
            if not self._times[key]:
                del self._times[key]

    def result(self) -> Any:
        return len(self._times) or None


class _SlidingEdge:
    def __init__(self, place: int) -> None:
        self._place = place
        self._values: deque[Stored] = deque()

    def enter(self, ts: int, value: Stored) -> None:
        self._values.append(value)

    def leave(self, value: Stored) -> None:
        self._values.popleft()

    def result(self) -> Any:
        return decode_json(self._values[self._place]) if self._values else None


class _SlidingSpending:
    def __init__(self) -> None:
        self._total, self._count, self._last = ZERO, 0, 0

    def enter(self, ts: int, value: Stored) -> None:
        self._total, self._count, self._last = EXACT.add(self._total, _decimal(value)), self._count + 1, ts

    def leave(self, value: Stored) -> None:
        self._total, self._count = EXACT.subtract(self._total, _decimal(value)), self._count - 1

    def result(self) -> Any:
        return (self._last, self._count, self._total) if self._count else None


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


@lru_cache(maxsize=16_384)
def _decimal(text: str) -> Decimal:
    return Decimal(text)


def _numbers(values: Sequence[Any], mismatches: Mismatches) -> list[Decimal]:
    exact = [value for value in map(number, values) if value is not None]
    mismatches.count += len(values) - len(exact)
    return exact


def _total(values: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, values, ZERO)
