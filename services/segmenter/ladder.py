"""Comparisons of one number that moves: which of them change their truth between two values of it.

Each comparison's truth changes at one or two places on the number line. They stand sorted, as the rungs of a
ladder: a value that stays between two rungs has changed nothing, whatever the number of comparisons.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

from services.segmenter.compare import number_test

Owner = TypeVar("Owner")
Number = Decimal | int
NumberTest = Callable[[Number], bool]

# A rung (operand, 0) lies just before the operand, (operand, 1) just behind it; a value v stands at (v, 0.5).
_Rung = tuple[Number, float]
_EDGES: dict[str, tuple[int, ...]] = {
    "gte": (0,),
    "lt": (0,),
    "gt": (1,),
    "lte": (1,),
    "eq": (0, 1),
    "ne": (0, 1),
}


class Ladder(Generic[Owner]):
    """Owners of comparisons, by where their truth changes. `add` all of them before the first question."""

    __slots__ = ("_rungs", "_tests")

    def __init__(self) -> None:
        self._rungs: list[_Rung] = []
        self._tests: list[tuple[Owner, NumberTest]] = []  # of the rung at the same index

    def add(self, owner: Owner, operator: str, operand: Any) -> None:
        test = number_test(operator, operand)
        for rung in _rungs(operator, operand):
            place = bisect_right(self._rungs, rung)
            self._rungs.insert(place, rung)
            self._tests.insert(place, (owner, test))

    def height(self, value: Number) -> int:
        """How many rungs lie below the value: equal heights mean equal truths."""
        return bisect_right(self._rungs, (value, 0.5))

    def below(self, count: int) -> int | None:
        """The greatest whole number under `count` that is on the other side of a rung; None when there is none."""
        height = self.height(count)
        if not height:
            return None
        operand, edge = self._rungs[height - 1]
        return int(operand) if edge else int(operand) - 1

    def flipped(self, before: Number, after: Number) -> Sequence[Owner]:
        """The owners whose comparison is true of one of the two values and false of the other."""
        low, high = self.height(before), self.height(after)
        if low == high:
            return ()
        passed = self._tests[low:high] if low < high else self._tests[high:low]
        changed = {id(owner): owner for owner, test in passed if test(before) != test(after)}
        return list(changed.values())


def _rungs(operator: str, operand: Any) -> list[_Rung]:
    if operator == "between":
        low, high = operand
        return [(low, 0), (high, 1)] if low <= high else []
    return [(operand, edge) for edge in _EDGES[operator]]
