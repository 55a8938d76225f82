"""A condition that has held for some time, on the events known now."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

from services.segmenter.customer import Customer
from services.segmenter.leaves import PlanLeaf
from services.segmenter.timed import NEVER, TimedLeaf

Formula = Callable[[Customer, int], bool]


class HeldLeaf(TimedLeaf):
    """`inner` are the leaves of its condition, `now` and `then` the condition at present and looking back.

    The condition is a step function of time: between two breakpoints it does not change.
    """

    __slots__ = ("_now", "_then", "for_ms", "inner")

    def __init__(
        self, index: int, key: str, for_ms: int, inner: Sequence[PlanLeaf], now: Formula, then: Formula
    ) -> None:
        super().__init__(index, key)
        self.for_ms = for_ms
        self.inner = tuple(inner)
        self._now = now
        self._then = then

    def truth(self, customer: Customer, now: int) -> bool:
        customer.memo = {}
        return self._now(customer, now) and self._throughout(customer, now)

    def past(self, customer: Customer, instant: int) -> bool:
        return self._then(customer, instant) and self._throughout(customer, instant)

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterator[int]:
        """Those of the condition, and as much later as it must hold."""
        for instant in self._inside(customer, low - self.for_ms - 1, high):
            if low < instant:
                yield instant
            if low < instant + self.for_ms <= high:
                yield instant + self.for_ms

    def next_change(self, customer: Customer, now: int) -> int:
        """Looks at the condition once at each of its breakpoints, then at what follows from that."""
        customer.memo = {}
        begin = now - self.for_ms
        inside = sorted(set(self._inside(customer, begin, NEVER - 1)))
        edges = [begin, *inside, NEVER]
        # where, looking back, the condition does not hold: from one breakpoint until before the next
        broken = [(low, high) for low, high in pairwise(edges) if not self._then(customer, low)]
        truth = self.truth(customer, now)
        later = {at for at in inside if at > now} | {at + self.for_ms for at in inside if at + self.for_ms > now}
        for instant in sorted(later):
            if self._holds(customer, instant, broken) != truth:
                return instant
        return 0

    def _holds(self, customer: Customer, instant: int, broken: Sequence[tuple[int, int]]) -> bool:
        # the stretches ascend and do not overlap: the first that is not over by then decides
        first = bisect_right(broken, instant - self.for_ms, key=itemgetter(1))
        if first < len(broken) and broken[first][0] <= instant:
            return False
        return self._now(customer, instant)

    def _throughout(self, customer: Customer, instant: int) -> bool:
        """Looking back, at every instant from `for` ago until this one."""
        begin = instant - self.for_ms
        if not self._then(customer, begin):
            return False
        return all(self._then(customer, at) for at in self._inside(customer, begin, instant))

    def _inside(self, customer: Customer, low: int, high: int) -> set[int]:
        return {instant for leaf in self.inner for instant in leaf.breakpoints(customer, low, high)}
