"""What a computed trait keeps of each event, and what comes of it (docs/adr/0013-computed-traits.md).

As the aggregates of conditions, with the same protocol; `summed` says whether all events ever add up in a bounded
summary, or the newest 10,000 are held. What each comes to is read by `readings.py`.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec

from services.segmenter.aggregates import Average, Distinct, Edge, Extreme, Moment, Sliding, Stored
from services.segmenter.compare import Mismatches
from services.segmenter.items import MAX_ITEMS
from services.segmenter.journal import ZERO
from services.segmenter.paths import EXACT, decode_json, number

_json = msgspec.json.Encoder(decimal_format="number")


class _Figure:
    """Of which all values decide, and which adds up."""

    keep = 0
    nothing: int | None = None
    summed = True

    def outdoes(self, later: Stored, earlier: Stored) -> bool:
        return False

    def sliding(self) -> Sliding:
        return _Window(self)

    def of_base(self, base: Stored) -> Any:
        return base

    def of_values(self, values: Sequence[Stored]) -> Any:
        raise NotImplementedError


class Count(_Figure):
    """How many events. Stored: nothing of them but that they were."""

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return 1

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return (base or 0) + 1

    def of_values(self, values: Sequence[Stored]) -> Any:
        return len(values)


class Sum(_Figure):
    """The sum of all numbers; of events without any it is 0. Stored: the sum of the event, as text."""

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = [value for value in map(number, values) if value is not None]
        mismatches.count += len(values) - len(exact)
        return str(_total(exact))

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return value if base is None else str(EXACT.add(Decimal(base), Decimal(value)))

    def of_base(self, base: Stored) -> Any:
        return Decimal(base)

    def of_values(self, values: Sequence[Stored]) -> Any:
        return _total(map(Decimal, values))


class Latest(_Figure):
    """The instant of the first or the last event. Stored: its instant."""

    def __init__(self, *, last: bool) -> None:
        self._pick: Any = max if last else min
        self.keep = 1 if last else 0

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return values[0]

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        return value if base is None else self._pick(base, value)

    def of_values(self, values: Sequence[Stored]) -> Any:
        return self._pick(values)


class EdgeScalar(Edge):
    """The first scalar of the first or last event that has one."""

    summed = True

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        known = scalars(values, mismatches)
        return _json.encode(known[:1]) if known else None


class Mean(Average):
    summed = True


class Bound(Extreme):
    summed = True


class Different(Distinct):
    summed = True


class Scalars(_Figure):
    """All booleans, numbers and texts, in order. Stored: their JSON text."""

    summed = False

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        known = scalars(values, mismatches)
        return _json.encode(known) if known else None

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        raise NotImplementedError

    def of_values(self, values: Sequence[Stored]) -> Any:
        return [one for value in values for one in decode_json(value)]


class Numbers(Scalars):
    """All numbers."""

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        exact = [value for value in map(number, values) if value is not None]
        mismatches.count += len(values) - len(exact)
        return _json.encode(exact) if exact else None


class Sessions(_Figure):
    """Runs of events, each at most `gap` ms after the one before: [beginning, end, pages] of each, ascending.
    Stored: the event's instant, and 1 if it is a page or a screen. A late event may join two runs."""

    def __init__(self, gap: int) -> None:
        self._gap = gap

    def stored(self, values: Sequence[Any], mismatches: Mismatches) -> Stored | None:
        return values

    def added(self, base: Stored | None, value: Stored, moment: Moment, most: int) -> Stored:
        runs: list[list[int]] = [] if base is None else base
        ts, pages = value
        first = bisect_left(runs, ts - self._gap, key=_end)
        behind = bisect_right(runs, ts + self._gap, key=_begin)
        joined = runs[first:behind]
        begin = min([ts, *map(_begin, joined)])
        end = max([ts, *map(_end, joined)])
        runs[first:behind] = [[begin, end, pages + sum(run[2] for run in joined)]]
        del runs[: max(0, len(runs) - MAX_ITEMS)]
        return runs

    def of_values(self, values: Sequence[Stored]) -> Any:
        runs: list[list[int]] = []
        for ts, pages in values:
            if runs and ts - runs[-1][1] <= self._gap:
                runs[-1][1] = ts
                runs[-1][2] += pages
            else:
                runs.append([ts, ts, pages])
        return runs


class _Window:
    """A window over values that are looked at as a whole each time."""

    def __init__(self, figure: _Figure) -> None:
        self._figure = figure
        self._values: deque[Stored] = deque()

    def enter(self, ts: int, value: Stored) -> None:
        self._values.append(value)

    def leave(self, value: Stored) -> None:
        self._values.popleft()

    def result(self) -> Any:
        return self._figure.of_values(list(self._values)) if self._values else None


def scalars(values: Sequence[Any], mismatches: Mismatches) -> list[Any]:
    """The booleans, numbers and texts among the values."""
    known = [value for value in values if isinstance(value, bool | str) or number(value) is not None]
    mismatches.count += len(values) - len(known)
    return known


def _total(values: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, values, ZERO)


def _begin(run: Sequence[int]) -> int:
    return run[0]


def _end(run: Sequence[int]) -> int:
    return run[1]
