"""A condition that has held for some time, on the events known now."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

from services.segmenter.customer import Customer
from services.segmenter.leaves import PlanLeaf
from services.segmenter.timed import NEVER, TimedLeaf

Formula = Callable[[Customer, int], bool]
Course = tuple[list[int], list[tuple[int, int]]]


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
        return self.truth_inside(customer, now)

    def truth_inside(self, customer: Customer, now: int) -> bool:
        """The same for who looks at more of the same customer at once."""
        return self._now(customer, now) and self.past(customer, now)

    def past(self, customer: Customer, instant: int) -> bool:
        return self._unbroken(self._course(customer, instant - self.for_ms), instant)

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
        course = self._course(customer, now - self.for_ms)
        inside, truth = course[0], self.truth_inside(customer, now)
        later = {at for at in inside if at > now} | {at + self.for_ms for at in inside if at + self.for_ms > now}
        for instant in sorted(later):
            if (self._unbroken(course, instant) and self._now(customer, instant)) != truth:
                return instant
        return 0

    def _course(self, customer: Customer, begin: int) -> Course:
        """The breakpoints from `begin` on, and where, looking back, the condition does not hold: ascending, from
        one until before another. It is found once for everybody who looks at the customer now."""
        known: tuple[int, Course] | None = customer.memo.get(self.id)
        if known is None or begin < known[0]:
            inside = sorted(self._inside(customer, begin, NEVER - 1))
            edges = [begin, *inside, NEVER]
            broken = [(low, high) for low, high in pairwise(edges) if not self._then(customer, low)]
            known = customer.memo[self.id] = begin, (inside, broken)
        return known[1]

    def _unbroken(self, course: Course, instant: int) -> bool:
        """Whether, looking back, it held at every instant from `for` ago until this one."""
        _, broken = course
        first = bisect_right(broken, instant - self.for_ms, key=itemgetter(1))
        return first == len(broken) or broken[first][0] > instant

    def _inside(self, customer: Customer, low: int, high: int) -> set[int]:
        return {instant for leaf in self.inner for instant in leaf.breakpoints(customer, low, high)}
