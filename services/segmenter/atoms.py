"""What is kept of a customer's events for one aggregate: a bounded summary of a multiset of
(instant, source, messageId, value) that late events can enter and whose next change is known.

An atom is shared by every condition with the same (event names, filter, aggregate, path). Its state does
not depend on the order in which events arrive, only on which events and on `now`.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby

import msgspec

from services.segmenter.compare import Test
from services.segmenter.paths import EXACT, EventView, Steps, number

MAX_ITEMS = 10_000
ZERO = Decimal(0)

Item = tuple[int, str, str, Decimal | None]  # ts, source, messageId, value (None where only counted)
NumberTest = Callable[[Decimal | int], bool]


class AtomState(msgspec.Struct, array_like=True):
    """`seen` and `total` cover all events ever; `items` the newest that some window may still need,
    ascending. `due`: when a condition on this atom next changes by itself (0 = never)."""

    seen: int = 0
    total: Decimal = ZERO
    items: list[Item] = []
    due: int = 0
    approximate: bool = False


class Filter:
    """One test of `where`: true when a value under the path satisfies it."""

    __slots__ = ("_exists", "_steps", "_test")

    def __init__(self, steps: Steps, test: Test | None, exists: bool | None) -> None:
        self._steps = steps
        self._test = test
        self._exists = exists

    def matches(self, view: EventView, mismatches: "Mismatches") -> bool:
        return satisfied(view.values(self._steps), self._test, self._exists, mismatches)


class Mismatches:
    """How many comparisons met a value of another type."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def satisfied(values: Sequence[object], test: Test | None, exists: bool | None, mismatches: Mismatches) -> bool:
    if test is None:
        return bool(values) is exists
    verdicts = [test(value) for value in values]
    mismatches.count += verdicts.count(None)
    return True in verdicts


class Atom:
    """A compiled atom. `keep` is how many items any window needs, `window` the longest (None: keep all ages).

    Count thresholds bound `keep`: the n newest events decide whether there are n, whatever arrives late.
    """

    __slots__ = ("filters", "id", "keep", "names", "of", "window")

    def __init__(self, key: str, names: Sequence[str], filters: Sequence[Filter], of: Steps | None) -> None:
        self.id = key
        self.names = tuple(names)
        self.filters = tuple(filters)
        self.of = of
        self.keep = 0
        self.window: int | None = 0

    def need(self, window: int | None, items: int) -> None:
        """A condition looks back `window` ms (None: for ever) at up to `items` items."""
        self.keep = max(self.keep, min(items, MAX_ITEMS + 1))
        self.window = None if window is None or self.window is None else max(self.window, window)

    def match(self, view: EventView, mismatches: Mismatches) -> Decimal | int | None:
        """What the event adds to the aggregate; None when it does not belong."""
        if not all(condition.matches(view, mismatches) for condition in self.filters):
            return None
        if self.of is None:
            return 1
        found = view.values(self.of)
        exact = [value for value in map(number, found) if value is not None]
        mismatches.count += len(found) - len(exact)
        return _sum(exact) if exact else None

    def add(self, state: AtomState, now: int, item: Item) -> None:
        """Let an event in, however late."""
        state.seen += 1
        if item[3] is not None:
            state.total = EXACT.add(state.total, item[3])
        if self.keep and (self.window is None or item[0] > now - self.window):
            insort(state.items, item, key=order)
        self.prune(state, now)

    def prune(self, state: AtomState, now: int) -> None:
        """Forget what no window can see any more."""
        gone = 0
        if self.window is not None and state.items and state.items[0][0] <= now - self.window:
            gone = first_after(state.items, now - self.window)
        surplus = len(state.items) - gone - self.keep
        if surplus > 0:
            gone += surplus
            state.approximate = state.approximate or self.of is not None or self.keep > MAX_ITEMS
        if gone:
            del state.items[:gone]


def order(item: Item) -> tuple[int, str, str]:
    """Items' order: by instant, then by what makes the event unique; never by arrival."""
    return item[0], item[1], item[2]


def first_after(items: Sequence[Item], instant: int) -> int:
    """Index of the first item later than `instant`."""
    return bisect_right(items, instant, key=_instant)


class Aggregate:
    """One comparison on an atom in one window: what an event condition is."""

    __slots__ = ("_test", "atom", "index", "window")

    def __init__(self, index: int, atom: Atom, window: int | None, test: NumberTest) -> None:
        self.index = index
        self.atom = atom
        self.window = window
        self._test = test

    def value(self, state: AtomState | None, now: int) -> Decimal | int:
        """The aggregate at `now`; a count is cut at what the atom keeps."""
        if state is None:
            return 0
        if self.window is None:
            return state.seen if self.atom.of is None else state.total
        start = first_after(state.items, now - self.window)
        if self.atom.of is None:
            return len(state.items) - start
        return self._measure(state.items[start:])

    def truth(self, state: AtomState | None, now: int) -> bool:
        return self._test(self.value(state, now))

    def next_change(self, state: AtomState, now: int) -> tuple[int, Item] | None:
        """When, after `now`, the truth changes if nothing happens, and the event whose leaving decides."""
        if self.window is None or not state.items:
            return None
        start = first_after(state.items, now - self.window)
        value = self._measure(state.items[start:])
        truth = self._test(value)
        for ts, leaving in _by_instant(state.items, start):
            value = EXACT.subtract(Decimal(value), Decimal(self._measure(leaving)))
            if self._test(value) != truth:
                return ts + self.window, leaving[-1]
        return None

    def _measure(self, items: Sequence[Item]) -> Decimal | int:
        return len(items) if self.atom.of is None else _sum(item[3] for item in items if item[3] is not None)


def _instant(item: Item) -> int:
    return item[0]


def _by_instant(items: Sequence[Item], start: int) -> Iterator[tuple[int, list[Item]]]:
    for ts, group in groupby(items[start:], key=_instant):
        yield ts, list(group)


def _sum(values: "Iterator[Decimal] | list[Decimal]") -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total
