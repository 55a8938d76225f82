"""Leaves over atoms that keep a value of each event: avg, min, max, distinct, first, last, and RFM scores."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

from headrace.contracts.cut_points import CutPoints
from services.segmenter.customer import Customer, Scores
from services.segmenter.items import ItemAtom
from services.segmenter.journal import ItemState, Journal, Origin
from services.segmenter.timed import TimedLeaf

Test = Callable[[Any], bool]


class ItemLeaf(TimedLeaf):
    """What all leaves over one atom and window share. `window` None: a lifetime."""

    __slots__ = ("atom", "window")

    def __init__(self, index: int, key: str, atom: ItemAtom, window: int | None) -> None:
        super().__init__(index, key)
        self.atom = atom
        self.window = window

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterator[int]:
        for instant in self.instants(customer):
            if low < instant <= high:
                yield instant
            if self.window is not None and low < instant + self.window <= high:
                yield instant + self.window

    def instants(self, customer: Customer) -> Iterable[int]:
        """Of the events that are held, ascending."""
        journal, state = self.kept(customer)
        return () if journal is None or state is None else map(journal.time, state.held)

    def value(self, customer: Customer, now: int) -> Any:
        """The aggregate at `now`; None of nothing."""
        journal, state = self.kept(customer)
        if journal is None or state is None:
            return None
        if self.window is None and self.atom.based:
            return None if state.base is None else self.atom.aggregate.of_base(state.base)
        start, end = self.atom.slice(journal, state, None if self.window is None else now - self.window, None)
        values = state.values[start:end]
        return self.atom.aggregate.of_values(values) if values else None

    def was(self, customer: Customer, instant: int) -> Any:
        """The aggregate at an instant before now, of the events until then; None of nothing."""
        known: tuple[list[int], list[Any]] | None = customer.memo.get(self.id)
        if known is None:
            known = customer.memo[self.id] = self._course(customer)
        place = bisect_right(known[0], instant)
        return known[1][place - 1] if place else None

    def _course(self, customer: Customer) -> tuple[list[int], list[Any]]:
        """The instants at which events have come into the window and left it, and what it came to from each on."""
        journal, state = self.kept(customer)
        if journal is None or state is None:
            return [], []
        window = self.atom.aggregate.sliding()
        times = [journal.time(number) for number in state.held]
        moves = [(ts, True, place) for place, ts in enumerate(times)]
        if self.window is not None:
            moves += [(ts + self.window, False, place) for place, ts in enumerate(times)]
        instants: list[int] = []
        results: list[Any] = []
        for instant, group in groupby(sorted(moves), key=itemgetter(0)):
            for _, enters, place in group:
                if enters:
                    window.enter(times[place], state.values[place])
                else:
                    window.leave(state.values[place])
            instants.append(instant)
            results.append(window.result())
        return instants, results

    def kept(self, customer: Customer) -> tuple[Journal | None, ItemState | None]:
        journal = customer.journal(self.atom.journal)
        return journal, None if journal is None else journal.item_state(self.atom.id)

    def anchor(self, customer: Customer, due: int) -> Origin | None:
        journal, state = self.kept(customer)
        if journal is None or state is None or self.window is None:
            return None
        end = journal.behind(state.held, due - self.window) if state.held else 0
        return journal.origin(state.held[end - 1]) if end else None


class ValueLeaf(ItemLeaf):
    """One aggregate compared."""

    __slots__ = ("_test",)

    def __init__(self, index: int, key: str, atom: ItemAtom, window: int | None, test: Test) -> None:
        super().__init__(index, key, atom, window)
        self._test = test

    def truth(self, customer: Customer, now: int) -> bool:
        return self._true(self.value(customer, now))

    def past(self, customer: Customer, instant: int) -> bool:
        return self._true(self.was(customer, instant))

    def next_change(self, customer: Customer, now: int) -> int:
        journal, state = self.kept(customer)
        if journal is None or state is None or self.window is None or not state.held:
            return 0
        start, end = self.atom.slice(journal, state, now - self.window, None)
        times = [journal.time(number) for number in state.held[start:end]]
        values, left = state.values[start:end], self.atom.aggregate.sliding()
        for ts, value in zip(times, values, strict=True):
            left.enter(ts, value)
        truth = self._true(left.result())
        for place, (ts, value) in enumerate(zip(times, values, strict=True)):
            left.leave(value)
            together = place + 1 < len(times) and times[place + 1] == ts
            if not together and self._true(left.result()) != truth:
                return ts + self.window
        return 0

    def _true(self, value: Any) -> bool:
        return False if value is None and self.atom.aggregate.nothing is None else self._test(value or 0)


class ScoreLeaf(ItemLeaf):
    """RFM scores of a population. Every event that leaves the window changes the figures: it wakes the customer,
    so that the indexes of who has which figures are kept (see partition.py)."""

    __slots__ = ("_cuts", "_published", "_wanted", "population")

    def __init__(
        self,
        index: int,
        key: str,
        atom: ItemAtom,
        window: int | None,
        wanted: Sequence[Sequence[int] | None],
        population: str,
        cuts: CutPoints | None,
    ) -> None:
        super().__init__(index, key, atom, window)
        self._wanted = [None if scores is None else frozenset(scores) for scores in wanted]
        self.population = population
        self._published: CutPoints | None = None
        self._cuts: list[Sequence[Any]] | None = None
        self.cut(cuts)

    def cut(self, cuts: CutPoints | None) -> None:
        """Score by these cut points from now on (None: there are none)."""
        if cuts is not self._published:
            self._published = cuts
            exact = None if cuts is None else [Decimal(cut) for cut in cuts.monetary]
            self._cuts = None if cuts is None or exact is None else [cuts.recency, cuts.frequency, exact]

    def figures(self, customer: Customer, now: int) -> tuple[int, int, Decimal] | None:
        """Recency, frequency and monetary value at `now`."""
        journal, state = self.kept(customer)
        if journal is None or state is None:
            return None
        if self.window is None and self.atom.based:
            return None if state.base is None else self.atom.aggregate.of_base(state.base)
        return self._figures(journal, state, None if self.window is None else now - self.window, None)

    def scores(self, customer: Customer, now: int) -> tuple[int, int, int] | None:
        figures = self.figures(customer, now)
        return None if figures is None else self._scored(figures)

    def truth(self, customer: Customer, now: int) -> bool:
        figures = self.figures(customer, now)
        return figures is not None and self._true(figures)

    def past(self, customer: Customer, instant: int) -> bool:
        figures = self.was(customer, instant)
        return figures is not None and self._true(figures)

    def next_change(self, customer: Customer, now: int) -> int:
        if self.window is None:
            return 0
        return min((at + self.window for at in self.instants(customer) if at + self.window > now), default=0)

    def _figures(
        self, journal: Journal, state: ItemState, after: int | None, until: int | None
    ) -> tuple[int, int, Decimal] | None:
        start, end = self.atom.slice(journal, state, after, until)
        if start == end:
            return None
        count, money = self.atom.aggregate.of_values(state.values[start:end])
        return journal.time(state.held[end - 1]), count, money

    def _scored(self, figures: tuple[int, int, Decimal]) -> tuple[int, int, int] | None:
        if self._cuts is None:
            return None
        recency, frequency, monetary = (
            1 + bisect_left(cuts, value) for cuts, value in zip(self._cuts, figures, strict=True)
        )
        return recency, frequency, monetary

    def _true(self, figures: tuple[int, int, Decimal]) -> bool:
        scores = self._scored(figures)
        if scores is None:
            return False
        return all(wanted is None or score in wanted for wanted, score in zip(self._wanted, scores, strict=True))


def stored_scores(figures: tuple[int, int, Decimal] | None) -> Scores | None:
    """The figures as they stand in a customer."""
    return None if figures is None else (figures[0], figures[1], str(figures[2]))
