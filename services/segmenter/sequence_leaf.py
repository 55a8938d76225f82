"""Steps in an order, and what must or must not follow."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from headrace.contracts.segment_conditions import SequenceTest
from services.segmenter.aggregates import value_key
from services.segmenter.customer import Customer
from services.segmenter.filters import AnyFilter, filter_of
from services.segmenter.journal import Origin
from services.segmenter.paths import EventView, parse_path
from services.segmenter.runs import NEVER, Pattern, Run
from services.segmenter.timed import TimedLeaf

_ONLY = ("",)


class SequenceLeaf(TimedLeaf):
    """`steps` are its pieces in the plan's index, `leaves` who looks at it."""

    __slots__ = ("_by", "leaves", "names", "pattern", "steps")

    def __init__(self, index: int, key: str, test: SequenceTest) -> None:
        super().__init__(index, key)
        self.pattern = Pattern(test)
        self.leaves: list[TimedLeaf] = []
        self._by = None if test.by is None else parse_path(test.by)
        given = [*test.steps, *(step for step in (test.then, test.then_not) if step is not None)]
        self.steps = [
            StepPiece(self, 1 << place, step.event, [filter_of(one) for one in step.where])
            for place, step in enumerate(given)
        ]
        self.names = tuple(sorted({name for step in self.steps for name in step.names}))

    def keys(self, view: EventView) -> Sequence[str]:
        """The runs that an event belongs to."""
        if self._by is None:
            return _ONLY
        keys = (value_key(value) for value in view.values(self._by))
        return list(dict.fromkeys(key for key in keys if key is not None))

    def let_in(
        self, customer: Customer, keys: Sequence[str], ts: int, origin: Origin, bits: int, now: int
    ) -> None:
        customer.opened_runs(self.id).let_in(self.pattern, keys, (ts, *origin, bits), now)

    def truth(self, customer: Customer, now: int) -> bool:
        return any(run.start <= now < run.end for run in customer.runs_of(self.id) or ())

    def past(self, customer: Customer, instant: int) -> bool:
        courses: list[tuple[list[int], list[tuple[int, int]]]] | None = customer.memo.get(self.id)
        if courses is None:
            runs = customer.runs_of(self.id) or ()
            courses = customer.memo[self.id] = [self.pattern.course(run.items) for run in runs]
        for instants, spans in courses:
            place = bisect_right(instants, instant)
            if place and spans[place - 1][0] <= instant < spans[place - 1][1]:
                return True
        return False

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterator[int]:
        for run in customer.runs_of(self.id) or ():
            yield from (instant for instant in self.pattern.instants(run.items) if low < instant <= high)

    def next_change(self, customer: Customer, now: int) -> int:
        runs = customer.runs_of(self.id)
        if runs is None:
            return 0
        truth = self.truth(customer, now)
        edges = {
            edge for run in runs for edge in (run.start, run.end) if now < edge < NEVER and run.start < run.end
        }
        for edge in sorted(edges):
            if self.truth(customer, edge) != truth:
                return edge
        return 0

    def anchor(self, customer: Customer, due: int) -> Origin | None:
        runs: Iterable[Run] = customer.runs_of(self.id) or ()
        found = [run.items[run.since] for run in runs if due in (run.start, run.end) and run.since >= 0]
        return min(found)[1:3] if found else None


class StepPiece:
    """A step as the plan's index finds it. `bit` says which."""

    __slots__ = ("bit", "filters", "leaf", "names")

    def __init__(self, leaf: SequenceLeaf, bit: int, names: Sequence[str], filters: Sequence[AnyFilter]) -> None:
        self.leaf = leaf
        self.bit = bit
        self.names = tuple(names)
        self.filters = tuple(filters)
