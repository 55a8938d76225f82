"""Comparisons of one value with an operator and its operand. Another type is false, and said so."""

import operator
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from headrace.contracts.segment_patterns import compiled_pattern
from services.segmenter.paths import EXACT

Verdict = bool | None  # None: the value is of another type than the operand
Test = Callable[[Any], Verdict]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_KINDS: dict[type, str] = {bool: "boolean", int: "number", Decimal: "number", str: "string"}
_TEXT: dict[str, Callable[[str, str], bool]] = {"starts_with": str.startswith, "ends_with": str.endswith}


class Mismatches:
    """How many comparisons met a value of another type, how many events had another currency."""

    __slots__ = ("count", "other_currency")

    def __init__(self) -> None:
        self.count = 0
        self.other_currency = 0


def compiled(operator: str, operand: Any) -> tuple[Test | None, bool | None]:
    """A test as `satisfied` takes it: of values, or of their presence."""
    return (None, operand) if operator == "exists" else (value_test(operator, operand), None)


def satisfied(values: Sequence[object], test: Test | None, exists: bool | None, mismatches: Mismatches) -> bool:
    """Whether at least one of the values passes the test; without a test, whether their presence is `exists`."""
    if test is None:
        return bool(values) is exists
    if len(values) == 1:
        verdict = test(values[0])
        mismatches.count += verdict is None
        return verdict is True
    verdicts = [test(value) for value in values]
    mismatches.count += verdicts.count(None)
    return True in verdicts


def kind_of(value: Any) -> str:
    """boolean, number, string, or other (a list or an object)."""
    return _KINDS.get(type(value), "other")


def value_test(name: str, operand: Any) -> Test:
    """The test of one operator of DESIGN §6 but `exists`, which is about presence, not value."""
    if name in _ORDER:
        return _order_test(_ORDER[name], operand)
    if name == "between":
        low, high = (value_test(edge, bound) for edge, bound in zip(("gte", "lte"), operand, strict=True))
        return lambda value: _both(low(value), high(value))
    if name in {"in", "not_in"}:
        return _member_test(operand, wanted=name == "in")
    if name == "contains":
        return _contains_test(operand)
    if name == "matches":
        search = compiled_pattern(operand).search
        return lambda value: search(value) is not None if isinstance(value, str) else None
    compare = _TEXT[name]
    return lambda value: compare(value, operand) if isinstance(value, str) else None


def number_test(name: str, operand: Any) -> Callable[[Any], bool]:
    """The test of an aggregate, whose value is always a number."""
    if name == "between":
        low, high = operand
        return lambda value: bool(low <= value <= high)
    compare = _ORDER[name]
    return lambda value: compare(value, operand)


def mean_test(name: str, operand: Any) -> Callable[[Any], bool]:
    """The test of a mean, given as (sum, how many): the sum is compared with so many times the operand."""
    if name == "between":
        low, high = (mean_test(edge, bound) for edge, bound in zip(("gte", "lte"), operand, strict=True))
        return lambda mean: low(mean) and high(mean)
    compare = _ORDER[name]
    return lambda mean: compare(mean[0], EXACT.multiply(operand, mean[1]))


def _order_test(compare: Callable[[Any, Any], bool], operand: Any) -> Test:
    kind = kind_of(operand)
    return lambda value: compare(value, operand) if _KINDS.get(type(value)) == kind else None


def _member_test(operands: Iterable[Any], *, wanted: bool) -> Test:
    by_kind: dict[str, set[Any]] = {}
    for operand in operands:
        by_kind.setdefault(kind_of(operand), set()).add(operand)

    def test(value: Any) -> Verdict:
        members = by_kind.get(kind_of(value))
        return None if members is None else (value in members) is wanted

    return test


def _contains_test(operand: Any) -> Test:
    kind = kind_of(operand)

    def test(value: Any) -> Verdict:
        if isinstance(value, list):
            return any(kind_of(item) == kind and item == operand for item in value)
        return operand in value if isinstance(value, str) and isinstance(operand, str) else None

    return test


def _both(left: Verdict, right: Verdict) -> Verdict:
    return None if left is None or right is None else left and right
