"""Tests of the values under one path, found by the value instead of tried one by one.

Equality is a dictionary, an order is a sorted list of operands that a bisection cuts in two. What can be neither
(`ne`, `contains`, `exists`, …) is tried in turn.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from services.segmenter.compare import Mismatches, Test, compiled, kind_of, satisfied

Owner = TypeVar("Owner")

_Cut = Callable[[list[Any], Any], int]
_BELOW: dict[str, _Cut] = {"gte": bisect_right, "gt": bisect_left}  # true for operands before the cut
_ABOVE: dict[str, _Cut] = {"lt": bisect_right, "lte": bisect_left}  # true for operands behind the cut
INDEXED = frozenset({"eq", "in", *_BELOW, *_ABOVE})


class ValueIndex(Generic[Owner]):
    """Who owns a test that a value satisfies. Owners are compared by identity, each has one test here."""

    __slots__ = ("_count", "_equal", "_kinds", "_orders", "_others")

    def __init__(self) -> None:
        self._equal: dict[tuple[str, Any], list[Owner]] = {}
        self._orders: dict[tuple[str, str], tuple[list[Any], list[Owner]]] = {}
        self._others: list[tuple[Owner, Test | None, bool | None]] = []
        self._kinds: Counter[str] = Counter()
        self._count = 0

    def add(self, owner: Owner, operator: str, operand: Any) -> None:
        if operator not in INDEXED:
            self._others.append((owner, *compiled(operator, operand)))
            return
        self._count += 1
        if operator in {"eq", "in"}:
            operands = operand if operator == "in" else (operand,)
            keys = {(kind_of(one), one) for one in operands}
            for key in keys:
                self._equal.setdefault(key, []).append(owner)
            self._kinds.update({kind for kind, _ in keys})
        else:
            kind = kind_of(operand)
            operands, owners = self._orders.setdefault((kind, operator), ([], []))
            place = bisect_right(operands, operand)
            operands.insert(place, operand)
            owners.insert(place, owner)
            self._kinds[kind] += 1

    def hits(self, values: Sequence[Any], mismatches: Mismatches) -> list[Owner]:
        """The owners whose test at least one of the values satisfies, each once."""
        found: list[Owner] = []
        if self._count:
            for value in values:
                kind = kind_of(value)
                mismatches.count += self._count - self._kinds[kind]
                if kind != "other":
                    found += self._equal.get((kind, value), ())
                    if self._orders:
                        self._cut(kind, value, found)
            if len(values) > 1:
                found = list({id(owner): owner for owner in found}.values())
        if self._others:
            found += [owner for owner, test, exists in self._others if satisfied(values, test, exists, mismatches)]
        return found

    def _cut(self, kind: str, value: Any, found: list[Owner]) -> None:
        for (of_kind, operator), (operands, owners) in self._orders.items():
            if of_kind != kind:
                continue
            if operator in _BELOW:
                found += owners[: _BELOW[operator](operands, value)]
            else:
                found += owners[_ABOVE[operator](operands, value) :]
