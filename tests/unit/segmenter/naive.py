"""A second evaluator, written apart from the fold: lists of events, filtered and counted anew each time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from headrace.contracts.profile_event import EventRow
from headrace.contracts.segment_values import duration_ms

Definition = Mapping[str, Any]


def member(definition: Definition, events: Sequence[EventRow], traits: Mapping[str, Any], now: int) -> bool:
    return _holds(definition["when"], events, traits, now)


def _holds(node: Mapping[str, Any], events: Sequence[EventRow], traits: Mapping[str, Any], now: int) -> bool:
    ((kind, body),) = node.items()
    if kind == "all":
        return all(_holds(child, events, traits, now) for child in body)
    if kind == "any":
        return any(_holds(child, events, traits, now) for child in body)
    if kind == "not":
        return not _holds(body, events, traits, now)
    if kind == "trait":
        return _compare(body, [traits[body["name"]]] if traits.get(body["name"]) is not None else [])
    return _event(body, events, now)


def _event(body: Mapping[str, Any], events: Sequence[EventRow], now: int) -> bool:
    names = body["name"] if isinstance(body["name"], list) else [body["name"]]
    matching = [event for event in events if event.event in names]
    for test in body.get("where", []):
        matching = [event for event in matching if _compare(test, _reach(event, test["path"]))]
    if "within" in body:
        matching = [event for event in matching if event.ts > now - duration_ms(body["within"])]
    if "sum" not in body:
        return _compare(body.get("count", {"gte": 1}), [len(matching)])
    values = [value for event in matching for value in _reach(event, body["sum"]["of"])]
    numbers = [Fraction(value) for value in values if isinstance(value, int | Decimal) and value is not True]
    return _compare(body["sum"], [sum(numbers, Fraction(0))])


def _reach(event: EventRow, path: str) -> list[Any]:
    document: Any = {"properties": msgspec.json.decode(event.properties), "context": {}}
    found = [document]
    for part in path.split("."):
        key, many = part.removesuffix("[]"), part.endswith("[]")
        found = [node[key] for node in found if isinstance(node, dict) and node.get(key) is not None]
        if many:
            found = [item for node in found if isinstance(node, list) for item in node]
    return [Decimal(str(value)) if isinstance(value, float) else value for value in found]


def _compare(test: Mapping[str, Any], values: Sequence[Any]) -> bool:
    operators = {key: value for key, value in test.items() if key not in ("name", "path", "of")}
    ((operator, operand),) = operators.items()
    if operator == "exists":
        return bool(values) is bool(operand)
    return any(_one(operator, operand, value) for value in values)


def _one(operator: str, operand: Any, value: Any) -> bool:
    if operator == "between":
        return _one("gte", operand[0], value) and _one("lte", operand[1], value)
    if operator == "in":
        return any(_one("eq", one, value) for one in operand)
    numeric = isinstance(operand, int | float) and not isinstance(operand, bool)
    if numeric != (isinstance(value, int | Decimal | Fraction) and not isinstance(value, bool)):
        return False
    if not numeric and type(operand) is not type(value):
        return False
    right, left = (Fraction(str(operand)), Fraction(value)) if numeric else (operand, value)
    if operator in ("eq", "ne"):
        return bool((left == right) is (operator == "eq"))
    above, below = bool(left > right), bool(left < right)
    verdicts: dict[str, bool] = {"gt": above, "gte": not below, "lt": below, "lte": not above}
    return verdicts[operator]
