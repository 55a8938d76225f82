"""The pieces that conditions share: (event names, filter, aggregate, path), each kept once per customer.

An atom's state is a bounded summary of a multiset of (instant, source, messageId, value) that late events can
enter and whose next change is known. It does not depend on the order in which events arrive, only on which
events and on `now`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import reduce
from itertools import groupby
from operator import itemgetter
from typing import Any

from services.segmenter.compare import Mismatches, number_test
from services.segmenter.filters import AnyFilter
from services.segmenter.items import MAX_ITEMS, Scope
from services.segmenter.journal import ZERO, AtomState, Journal, Origin, hold
from services.segmenter.ladder import Ladder, Number
from services.segmenter.paths import EXACT, EventView, Steps, number
from services.segmenter.timed import TimedLeaf

Item = tuple[int, str, str, Decimal | None]  # ts, source, messageId, value (None where only counted)


class Atom:
    """A compiled atom. `keep` is how many items any window needs, `window` the longest (None: keep all ages);
    `journal` names where its state lies, `scope` what else than the filters an event must pass, `leaves` are those
    that look back at it.

    Count thresholds bound `keep`: the n newest events decide whether there are n, whatever arrives late.
    """

    __slots__ = (
        "_ladders",
        "_windowed",
        "filters",
        "id",
        "journal",
        "keep",
        "leaves",
        "names",
        "of",
        "scope",
        "window",
    )

    def __init__(
        self,
        key: str,
        journal: str,
        names: Sequence[str],
        filters: Sequence[AnyFilter],
        of: Steps | None,
        scope: Scope | None,
    ) -> None:
        self.id = key
        self.journal = journal
        self.names = tuple(names)
        self.filters = tuple(filters)
        self.of = of
        self.scope = scope
        self.leaves: list[TimedLeaf] = []
        self.keep = 0
        self.window: int | None = 0
        self._ladders: dict[int | None, Ladder[Aggregate]] = {}
        self._windowed = False

    @property
    def needs(self) -> tuple[Any, ...]:
        """What it must have kept; equal or less is covered by an atom that keeps more."""
        return self.window, self.keep

    def need(self, window: int | None, items: int) -> None:
        """A condition looks back `window` ms (None: for ever) at up to `items` items."""
        self.keep = max(self.keep, min(items, MAX_ITEMS + 1))
        self.window = None if window is None or self.window is None else max(self.window, window)

    def watch(self, aggregate: "Aggregate") -> None:
        """Say from now on when this comparison, which is one of ours, flips."""
        if aggregate.window not in self._ladders:
            self._ladders[aggregate.window] = Ladder(whole=self.of is None)
        self._ladders[aggregate.window].add(aggregate, aggregate.operator, aggregate.operand)
        self._windowed = self._windowed or aggregate.window is not None

    def amount(self, view: EventView, mismatches: Mismatches) -> Decimal | None:
        """What an event that passes the filters adds to the sum; None when it has no number there."""
        assert self.of is not None
        found = view.values(self.of)
        if len(found) == 1 and (value := number(found[0])) is not None:
            return EXACT.add(ZERO, value)  # as nearly all
        exact = [value for value in map(number, found) if value is not None]
        mismatches.count += len(found) - len(exact)
        return total(exact) if exact else None

    def admit(
        self, journal: Journal, now: int, ts: int, origin: Origin, amount: Decimal | None
    ) -> Iterable["Flip"]:
        """Let an event in, however late (`amount` None: counted), and arm; return the comparisons that flip."""
        state = journal.opened(self.id)
        held = state.held
        if not (self.keep or self._windowed or held):
            return self._add(journal, state, amount)
        before = [self.measure(journal, state, window, now) for window in self._ladders]
        state.seen += 1
        if amount is not None:
            state.total = EXACT.add(state.total, amount)
        if self.keep and (self.window is None or ts > now - self.window):
            hold(state, journal.place(ts, origin), amount)
        cut = self.prune(journal, state, now)
        flipped: list[Flip] = []
        due = 0
        for (window, ladder), was in zip(self._ladders.items(), before, strict=True):
            if cut:
                value = self.measure(journal, state, window, now)
            elif window is not None and ts <= now - window:
                value = was
            else:
                value = was + 1 if amount is None else EXACT.add(was, amount)
            high = ladder.height(value)
            if value != was and (low := ladder.height(was)) != high:
                flipped += ladder.between(low, high, was, value)
            if window is None or not (high or amount is not None):
                continue
            if amount is None:
                at = _first_fall(journal, held, window, ladder, value, high)
            else:
                at = self._first_flip(journal, state, window, ladder, value, high, now)
            if at and not 0 < due < at:
                due = at
        journal.arm(self.id, due)
        return flipped

    def _add(self, journal: Journal, state: AtomState, amount: Decimal | None) -> Iterable["Flip"]:
        """The same of an atom at which nobody looks back, which holds nothing."""
        was: Number
        value: Number
        was = value = state.seen
        state.seen += 1
        if amount is None:
            value += 1
        else:
            was = state.total
            value = state.total = EXACT.add(was, amount)
        if journal.dues:
            journal.arm(self.id, 0)
        ladder = self._ladders.get(None)
        return () if ladder is None else ladder.flipped(was, value)

    def measure(self, journal: Journal, state: AtomState, window: int | None, now: int) -> Number:
        """The aggregate over the window that ends at `now`; a count is cut at what the atom keeps."""
        if window is None:
            return state.seen if self.of is None else state.total
        held = state.held
        if not held:
            return 0 if self.of is None else ZERO
        start = journal.behind(held, now - window)
        if self.of is None:
            return len(held) - start
        return total(state.values[start:] if start else state.values)

    def prune(self, journal: Journal, state: AtomState, now: int) -> bool:
        """Forget what no window can see any more. True when there was more than is kept."""
        held, gone = state.held, 0
        if self.window is not None and held:
            gone = journal.behind(held, now - self.window)
        surplus = len(held) - gone - self.keep
        if surplus > 0:
            gone += surplus
            state.approximate = state.approximate or self.of is not None or self.keep > MAX_ITEMS
        if gone:
            del held[:gone], state.values[: gone if state.values else 0]
        return surplus > 0

    def arm(self, journal: Journal, now: int) -> None:
        """Forget what has left every window, and find the deadline again."""
        state = journal.opened(self.id)
        self.prune(journal, state, now)
        due = 0
        if state.held:
            for window, ladder in self._ladders.items():
                if window is not None and (at := self.first_flip(journal, state, window, ladder, now)):
                    due = min(due or at, at)
        journal.arm(self.id, due)

    def first_flip(
        self, journal: Journal, state: AtomState, window: int, ladder: Ladder["Aggregate"], now: int
    ) -> int:
        """When, after `now`, a comparison of the ladder changes if nothing happens (0: never)."""
        value = self.measure(journal, state, window, now)
        return self._first_flip(journal, state, window, ladder, value, ladder.height(value), now)

    def _first_flip(
        self,
        journal: Journal,
        state: AtomState,
        window: int,
        ladder: Ladder["Aggregate"],
        value: Number,
        height: int,
        now: int,
    ) -> int:
        """The same, with the value in the window now and its height known."""
        if self.of is None:
            return _first_fall(journal, state.held, window, ladder, value, height)
        start = journal.behind(state.held, now - window) if state.held else 0
        for instant, left in _sums(journal, state, start, value):
            if ladder.differs(ladder.height(left), height, left, value):
                return instant + window
        return 0

    def flips_at(self, journal: Journal, due: int) -> Iterator[tuple["Flip", Origin]]:
        """The comparisons that change by themselves at exactly `due`, and the origin of the event whose leaving
        decides (the last one, when several leave together)."""
        state = journal.state(self.id)
        if state is None:
            return
        for window, ladder in self._ladders.items():
            if window is None:
                continue
            first, behind = journal.after(due - window - 1), journal.after(due - window)
            if first == behind:
                continue  # no event of the journal leaves this window now
            held = state.held
            start, end = bisect_left(held, first), bisect_left(held, behind)
            if start == end:
                continue
            before, after = (
                (len(held) - start, len(held) - end)
                if self.of is None
                else (total(state.values[start:]), total(state.values[end:]))
            )
            origin = journal.origin(held[end - 1])
            for flip in ladder.flipped(before, after):
                yield flip, origin


class Aggregate:
    """One comparison on an atom in one window: what an event condition is. `index` is its leaf's."""

    __slots__ = ("_test", "atom", "index", "operand", "operator", "window")

    def __init__(self, index: int, atom: Atom, window: int | None, operator: str, operand: Number) -> None:
        self.index = index
        self.atom = atom
        self.window = window
        self.operator = operator
        self.operand = operand
        self._test = number_test(operator, operand)

    def value(self, journal: Journal | None, now: int) -> Number:
        """The aggregate at `now`."""
        if journal is None or (state := journal.state(self.atom.id)) is None:
            return 0
        return self.atom.measure(journal, state, self.window, now)

    def truth(self, journal: Journal | None, now: int) -> bool:
        return self._test(self.value(journal, now))

    def past(self, journal: Journal, instant: int) -> bool:
        """The truth at an instant before now, of the events until then. What the atom keeps reaches so far
        back."""
        state = journal.state(self.atom.id)
        if state is None:
            return self._test(0)
        journal.trim(state)
        held = state.held
        end = journal.behind(held, instant) if held else 0
        if self.window is None:
            later = len(held) - end if self.atom.of is None else total(state.values[end:])
            whole = state.seen if self.atom.of is None else state.total
            return self._test(EXACT.subtract(Decimal(whole), Decimal(later)))
        start = min(end, journal.behind(held, instant - self.window)) if held else 0
        return self._test(end - start if self.atom.of is None else total(state.values[start:end]))

    def breakpoints(self, journal: Journal, low: int, high: int) -> Iterator[int]:
        """When, low < t <= high, events come into the window and leave it."""
        state = journal.state(self.atom.id)
        if state is None:
            return
        journal.trim(state)
        for instant in map(journal.time, state.held):
            if low < instant <= high:
                yield instant
            if self.window is not None and low < instant + self.window <= high:
                yield instant + self.window

    def next_change(self, journal: Journal, now: int) -> int:
        """When, after `now`, the truth changes if nothing happens (0: never)."""
        state = journal.state(self.atom.id)
        if self.window is None or state is None:
            return 0
        alone: Ladder[Aggregate] = Ladder(whole=self.atom.of is None)
        alone.add(self, self.operator, self.operand)
        return self.atom.first_flip(journal, state, self.window, alone, now)

    def items(self, journal: Journal, now: int) -> list[Item]:
        """What the window holds at `now`, ascending."""
        state = journal.state(self.atom.id)
        if state is None:
            return []
        start = 0 if self.window is None or not state.held else journal.behind(state.held, now - self.window)
        values = state.values[start:] if self.atom.of is not None else [None] * (len(state.held) - start)
        return [(*journal.event(held), value) for held, value in zip(state.held[start:], values, strict=True)]


Flip = tuple[Aggregate, bool]
"""A comparison that changes its truth, and what it is from now on."""


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, values, ZERO)


def _first_fall(
    journal: Journal, held: Sequence[int], window: int, ladder: Ladder[Aggregate], count: Number, height: int
) -> int:
    """When the events that leave first change a comparison of how many there are (0: never). Looks only where a
    rung is passed on the way down."""
    low = height
    while low and (left := ladder.below(low)) >= 0:
        instant = journal.time(held[-left - 1])
        if left and journal.time(held[-left]) == instant:
            left = len(held) - journal.behind(held, instant)  # they go together
        low = ladder.height(left)
        if ladder.differs(low, height, left, count):
            return instant + window
    return 0


def _sums(journal: Journal, state: AtomState, start: int, value: Number) -> Iterator[tuple[int, Number]]:
    """(instant, the sum that is left once its events have gone), in the order in which they go."""
    items = zip(map(journal.time, state.held[start:]), state.values[start:], strict=True)
    for instant, leaving in groupby(items, key=itemgetter(0)):
        for _, amount in leaving:
            value = EXACT.subtract(value, amount)
        yield instant, value
