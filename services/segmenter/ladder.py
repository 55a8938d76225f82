"""Comparisons of one number that moves: which of them change their truth between two values of it.

Each comparison's truth changes at one or two places on the number line. They stand sorted, as the rungs of a
ladder: a value that stays between two rungs has changed nothing, whatever the number of comparisons.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Generic, TypeVar

from services.segmenter.compare import number_test

Owner = TypeVar("Owner")
Number = Decimal | int
NumberTest = Callable[[Number], bool]

# A rung at edge 0 lies just before its operand, one at edge 1 just behind it.
_EDGES: dict[str, tuple[int, ...]] = {
    "gte": (0,),
    "lt": (0,),
    "gt": (1,),
    "lte": (1,),
    "eq": (0, 1),
    "ne": (0, 1),
}


class Ladder(Generic[Owner]):
    """Owners of comparisons, by where their truth changes. `add` all of them before the first question.

    `whole`: values and operands are whole numbers, a rung stands at the first of them behind it. Else a rung is
    (operand, edge) and a value v stands at (v, 0.5).
    """

    __slots__ = ("_rungs", "_tests", "_whole")

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._rungs: list[Any] = []
        self._tests: list[tuple[Owner, NumberTest]] = []  # of the rung at the same index

    def add(self, owner: Owner, operator: str, operand: Any) -> None:
        test = number_test(operator, operand)
        for bound, edge in _bounds(operator, operand):
            rung = bound + edge if self._whole else (bound, edge)
            place = bisect_right(self._rungs, rung)
            self._rungs.insert(place, rung)
            self._tests.insert(place, (owner, test))

    def height(self, value: Number) -> int:
        """How many rungs lie below the value: equal heights mean equal truths."""
        return bisect_right(self._rungs, value if self._whole else (value, 0.5))

    def below(self, height: int) -> int:
        """The greatest whole number under the highest of this many rungs."""
        return int(self._rungs[height - 1]) - 1

    def flipped(self, before: Number, after: Number) -> Iterable[tuple[Owner, bool]]:
        """The owners whose comparison is true of one of the two values and false of the other, each with what it
        is of `after`."""
        low = self.height(before)
        if low == len(self._rungs) and after >= before:
            return ()  # above all of them already
        high = self.height(after)
        return self.between(low, high, before, after) if low != high else ()

    def differs(self, low: int, high: int, before: Number, after: Number) -> bool:
        """Whether any comparison flips; the heights are those of the values."""
        if (high - low) % 2:
            return True  # some comparison has an odd number of rungs between the two
        return any(test(before) != test(after) for _, test in self._passed(low, high))

    def between(self, low: int, high: int, before: Number, after: Number) -> Iterable[tuple[Owner, bool]]:
        """`flipped`, where the heights are known."""
        passed = self._passed(low, high)
        if len(passed) == 1:
            owner, test = passed[0]
            return [(owner, test(after))]  # nobody passes one rung alone and stays what it was
        changed = {id(owner): (owner, truth) for owner, test in passed if (truth := test(after)) != test(before)}
        return changed.values()

    def _passed(self, low: int, high: int) -> list[tuple[Owner, NumberTest]]:
        return self._tests[low:high] if low < high else self._tests[high:low]


def _bounds(operator: str, operand: Any) -> list[tuple[Any, int]]:
    if operator == "between":
        low, high = operand
        return [(low, 0), (high, 1)] if low <= high else []
    return [(operand, edge) for edge in _EDGES[operator]]
