"""Leaves whose truth is looked at as a whole: before and after what touches them, and when they change by
themselves. (Counts, sums and comparisons of traits have indexes of their own.)"""

from collections.abc import Iterable

from services.segmenter.customer import Customer
from services.segmenter.journal import Origin

NEVER = 2**53
"""Behind every instant; the greatest score that Redis holds exactly."""

MOST_STEPS = 100_000


class TimedLeaf:
    """`index` is the leaf's in its plan, `id` names its deadline in a customer, the same in every plan."""

    __slots__ = ("id", "index")

    def __init__(self, index: int, key: str) -> None:
        self.index = index
        self.id = key

    def truth(self, customer: Customer, now: int) -> bool:
        """The truth at `now`, of everything that is known."""
        raise NotImplementedError

    def past(self, customer: Customer, instant: int) -> bool:
        """The truth at an instant before now, of what had happened by then and is known now."""
        raise NotImplementedError

    def breakpoints(self, customer: Customer, low: int, high: int) -> Iterable[int]:
        """Every instant t, low < t <= high, at which the truth, now or looking back, may change by itself or by
        what is known; others may be among them."""
        raise NotImplementedError

    def next_change(self, customer: Customer, now: int) -> int:
        """When, after `now`, the truth changes if nothing happens (0: never)."""
        truth = self.truth(customer, now)
        for count, instant in enumerate(sorted(set(self.breakpoints(customer, now, NEVER - 1)))):
            if self.truth(customer, instant) != truth or count > MOST_STEPS:
                return instant
        return 0

    def anchor(self, customer: Customer, due: int) -> Origin | None:
        """The event whose deadline has come at `due`; None when it is no event's."""
        return None
