"""JSON values: what stands under a path, and how a test compares it.

Numbers are exact: an int, or a Decimal as rows are decoded; in comparisons and sums they are ints and fractions.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from operator import ge, gt, le, lt
from typing import Any

from headrace.contracts.segment_patterns import compiled_pattern
from headrace.contracts.segment_tests import Test

Number = int | Fraction
Typed = tuple[str, bool | Number | str]
"""A scalar with the name of its type: True, 1 and "1" are three different ones, 1 and 1.0 are one."""

_DIGITS = 400
_EACH = "[]"
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "matches": lambda text, pattern: compiled_pattern(pattern).search(text) is not None,
}


def reach(root: Any, path: str) -> list[Any]:
    """Every value under the path that is not null and can be read; `[]` goes into each item of a list."""
    nodes = [root]
    for step in path.split("."):
        key = step.removesuffix(_EACH)
        nodes = [node[key] for node in nodes if isinstance(node, dict) and key in node]
        if step.endswith(_EACH):
            nodes = [item for node in nodes if isinstance(node, list) for item in node]
    return [node for node in nodes if node is not None and not _unreadable(node)]


def number(value: Any) -> Number | None:
    """None for what is no number, or one of more than 400 digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**_DIGITS else None
    if isinstance(value, float):
        value = Decimal(repr(value))
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    short = len(value.as_tuple().digits) <= _DIGITS and abs(value.adjusted()) <= _DIGITS
    return Fraction(value) if short else None


def typed(value: Any) -> Typed | None:
    """None for what is no scalar."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, str):
        return "text", value
    exact = number(value)
    return None if exact is None else ("number", exact)


def satisfies(test: Test, values: Sequence[Any]) -> bool:
    """Whether one of the values does; with `exists`, whether there is one."""
    operator, operand = test.operator
    if operator == "exists":
        return bool(values) is bool(operand)
    return any(compare(operator, operand, value) for value in values)


def compare(operator: str, operand: Any, value: Any) -> bool:
    """The value against the operand of one operator; false between two types."""
    if operator == "contains":
        return _contains(value, operand)
    if operator in ("eq", "ne", "in", "not_in"):
        among = operand if operator in ("in", "not_in") else (operand,)
        return _among(value, among, included=operator in ("eq", "in"))
    if operator == "between":
        low, high = operand
        return compare("gte", low, value) and compare("lte", high, value)
    if operator in _ORDER:
        return _ordered(_ORDER[operator], typed(value), typed(operand))
    return isinstance(value, str) and _TEXT[operator](value, operand)


def _unreadable(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and number(value) is None


def _among(value: Any, operands: Sequence[Any], *, included: bool) -> bool:
    """Whether it is one of them, or (not included) is none of them but of the type of one."""
    mine = typed(value)
    same = [other for other in map(typed, operands) if mine and other and other[0] == mine[0]]
    return bool(same) and (mine in same) is included


def _ordered(holds: Callable[[Any, Any], bool], value: Typed | None, operand: Typed | None) -> bool:
    if value is None or operand is None or value[0] != operand[0] or value[0] == "boolean":
        return False
    return holds(value[1], operand[1])


def _contains(value: Any, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(_among(item, (operand,), included=True) for item in value)
