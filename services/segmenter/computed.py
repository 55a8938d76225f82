"""Computed traits in a plan: the value of one at any instant, when it changes by itself, and conditions on it."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from math import ceil, floor
from typing import Any

import msgspec

from headrace.contracts.segment_tests import TraitTest
from headrace.contracts.segment_values import COMPUTED
from services.segmenter.compare import Mismatches, compiled, satisfied
from services.segmenter.customer import Customer
from services.segmenter.items import ItemAtom
from services.segmenter.journal import Origin
from services.segmenter.latest import zone_of
from services.segmenter.other_leaves import DATES, DateTest
from services.segmenter.paths import lookup, parse_path
from services.segmenter.readings import DAY_MS, Reading, days_of
from services.segmenter.timed import NEVER, TimedLeaf
from services.segmenter.value_leaves import ItemLeaf

_json = msgspec.json.Encoder(decimal_format="number")


class FigureLeaf(ItemLeaf):
    """The value of a computed trait: what its atom comes to in a window, read. `daily`: it changes with every
    whole day since the latest event."""

    __slots__ = ("_read", "daily")

    def __init__(self, atom: ItemAtom, window: int | None, read: Reading) -> None:
        super().__init__(-1, f"{atom.id}/{window}", atom, window)
        self._read = read
        self.daily = read is days_of

    def shown(self, customer: Customer, now: int) -> Any:
        """The value at `now`, plain JSON; None when there is none."""
        raw = self.value(customer, now)
        return None if raw is None else self._read(raw, now)

    def shown_then(self, customer: Customer, instant: int) -> Any:
        """The value at an instant before now, of the events until then that are known now."""
        raw = self.was(customer, instant)
        return None if raw is None else self._read(raw, instant)

    def all_shown(self, customer: Customer, now: int) -> list[Any]:
        """Every value that it has, or had as far as is kept; none of them depends on the instant."""
        before = self._course(customer)[1]
        return [self.shown(customer, now), *(self._read(raw, 0) for raw in before if raw is not None)]

    def next_change(self, customer: Customer, now: int) -> int:
        """When, after `now`, the value may change if nothing happens (0: never)."""
        leaves = self._first_leaves(customer, now)
        if not self.daily or (raw := self.value(customer, now)) is None:
            return leaves
        day = int(raw + (days_of(raw, now) + 1) * DAY_MS)
        return min(leaves or day, day)

    def anchor(self, customer: Customer, due: int) -> Origin | None:
        journal, state = self.kept(customer)
        if self.daily and journal is not None and state is not None and state.held:
            return journal.origin(state.held[-1])
        return super().anchor(customer, due)

    def _first_leaves(self, customer: Customer, now: int) -> int:
        journal, state = self.kept(customer)
        if self.window is None or journal is None or state is None or not state.held:
            return 0
        place = journal.behind(state.held, now - self.window)
        return journal.time(state.held[place]) + self.window if place < len(state.held) else 0


class ComputedTrait:
    """A published trait. `due` names its deadline in a customer."""

    __slots__ = ("due", "figure", "id", "version")

    def __init__(self, key: str, version: int, figure: FigureLeaf) -> None:
        self.id = key
        self.version = version
        self.figure = figure
        self.due = f".{key}"

    def text(self, customer: Customer, now: int) -> bytes | None:
        """The value as JSON text."""
        value = self.figure.shown(customer, now)
        return None if value is None else _json.encode(value)


class ComputedLeaf(TimedLeaf):
    """A condition on a computed trait. Without a `figure` there is no such trait, and no value."""

    __slots__ = ("_days", "_exists", "_mismatches", "_steps", "_test", "dated", "figure", "trait")

    def __init__(
        self, index: int, key: str, test: TraitTest, figure: FigureLeaf | None, mismatches: Mismatches
    ) -> None:
        super().__init__(index, key)
        self.figure = figure
        self._steps = parse_path(test.name)
        self.trait = self._steps[1][0]
        self._mismatches = mismatches
        operator, operand = test.operator
        self.dated = DateTest(test, mismatches) if operator in DATES else None
        self._test, self._exists = (None, None) if self.dated else compiled(operator, operand)
        self._days = _days_in(operand) if figure is not None and figure.daily else ()

    def values(self, customer: Customer, now: int) -> Sequence[Any]:
        return () if self.figure is None else self._under(self.figure.shown(customer, now))

    def truth(self, customer: Customer, now: int) -> bool:
        return self._holds(customer, self.values(customer, now), now)

    def past(self, customer: Customer, instant: int) -> bool:
        values = () if self.figure is None else self._under(self.figure.shown_then(customer, instant))
        return self._holds(customer, values, instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterator[int]:
        if self.figure is None:
            return
        yield from self.figure.breakpoints(customer, low, high)
        for days in self._days:
            yield from (at for ts in self.figure.instants(customer) if low < (at := ts + days * DAY_MS) <= high)
        if self.dated is not None:
            for value in self.figure.all_shown(customer, low):
                yield from (at for at in self._edges(customer, value, low, high) if low < at <= high)

    def next_change(self, customer: Customer, now: int) -> int:
        """When, after `now`, the truth may change if nothing happens: whenever the value may."""
        if self.figure is None:
            return 0
        ahead = [self.figure.next_change(customer, now)]
        if self.dated is not None:
            ahead += self._edges(customer, self.figure.shown(customer, now), now, NEVER - 1)
        return min((at for at in ahead if now < at < NEVER), default=0)

    def next_flip(self, customer: Customer, now: int) -> int:
        """When it does, at a cost."""
        return super().next_change(customer, now)

    def anchor(self, customer: Customer, due: int) -> Origin | None:
        return None if self.figure is None else self.figure.anchor(customer, due)

    def _under(self, value: Any) -> Sequence[Any]:
        return () if value is None else lookup({COMPUTED: {self.trait: value}}, self._steps)

    def _holds(self, customer: Customer, values: Sequence[Any], instant: int) -> bool:
        if self.dated is None:
            return satisfied(values, self._test, self._exists, self._mismatches)
        zone = zone_of(customer)
        spans = (span for text in values for span in self.dated.spans(text, zone, instant, instant))
        return any(begin <= instant < end for begin, end in spans)

    def _edges(self, customer: Customer, value: Any, low: int, high: int) -> Iterator[int]:
        assert self.dated is not None, "asked of dates only"
        zone = zone_of(customer)
        for text in self._under(value):
            for span in self.dated.spans(text, zone, low, high):
                yield from span


def _days_in(operand: Any) -> Sequence[int]:
    """The whole days at which a comparison with these numbers may change."""
    operands: Iterable[Any] = operand if isinstance(operand, tuple) else (operand,)
    numbers = [one for one in operands if isinstance(one, int | Decimal) and not isinstance(one, bool)]
    days = {day for one in numbers for day in (ceil(one), floor(one) + 1)}
    return sorted(day for day in days if 0 < day < NEVER // DAY_MS)
