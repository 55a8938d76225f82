"""The paths and values of a plan, compiled to functions. No I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from headrace.contracts.instant import parse_instant
from headrace.contracts.plan import Property
from headrace.contracts.segment_patterns import compiled_pattern

Values = Callable[[Any], list[Any]]
Check = Callable[[Any], str | None]
"""From a value to the reason why it is wrong."""

_SHORT = 32  # characters of a text that may come again, such as a currency


def path_steps(path: str) -> list[str]:
    """`products[].price` in its steps: `products`, `[]`, `price`."""
    steps: list[str] = []
    for name in path.split("."):
        steps.append(name.removesuffix("[]"))
        if name.endswith("[]"):
            steps.append("[]")
    return steps


def lacking(steps: Sequence[str]) -> Callable[[Any], bool]:
    """True where there is no value; of a list, where one of its items has none."""
    first, rest = steps[0], steps[1:]
    inner = lacking(rest) if rest else None
    if first == "[]":
        if inner is None:
            return lambda node: not isinstance(node, list)
        return lambda node: not isinstance(node, list) or any(map(inner, node))
    if inner is None:
        return lambda node: not isinstance(node, dict) or node.get(first) is None
    return lambda node: not isinstance(node, dict) or inner(node.get(first))


def reaching(steps: Sequence[str]) -> Values:
    """Every value under the path that is not null."""
    first, rest = steps[0], steps[1:]
    if first == "[]":
        return _of_items(rest)
    if not rest:
        return lambda node: [value] if isinstance(node, dict) and (value := node.get(first)) is not None else []
    inner = reaching(rest)
    return lambda node: inner(node.get(first)) if isinstance(node, dict) else []


def _of_items(rest: Sequence[str]) -> Values:
    if not rest:
        return lambda node: [item for item in node if item is not None] if isinstance(node, list) else []
    if len(rest) == 1 and rest[0] != "[]":  # products[].price, as nearly all are
        name = rest[0]

        def prices(node: Any) -> list[Any]:
            items = node if isinstance(node, list) else []
            return [v for item in items if isinstance(item, dict) and (v := item.get(name)) is not None]

        return prices
    inner = reaching(rest)
    return lambda node: [value for item in node for value in inner(item)] if isinstance(node, list) else []


def tester(wanted: Property) -> Check:
    """Everything that a value must be, the first thing that is wrong with it."""
    checks = list(_checks(wanted))
    if len(checks) == 1:
        return checks[0]

    def every(value: Any) -> str | None:
        for check in checks:
            if reason := check(value):
                return reason
        return None

    return every


def _checks(wanted: Property) -> Iterator[Check]:
    """The type first: what comes after it looks only at values that it can be asked of."""
    if wanted.type is not None:
        yield _of_type([_TYPES[name] for name in wanted.type])
    if wanted.enum is not None:
        among = frozenset((isinstance(one, bool), one) for one in wanted.enum)
        yield lambda value: None if _is_scalar(value) and (isinstance(value, bool), value) in among else "enum"
    if wanted.pattern is not None:
        holds = _holds(wanted.pattern)
        yield lambda value: "pattern" if isinstance(value, str) and not holds(value) else None
    if (low := wanted.minimum) is not None:
        yield lambda value: "minimum" if _is_number(value) and value < low else None
    if (high := wanted.maximum) is not None:
        yield lambda value: "maximum" if _is_number(value) and value > high else None
    if (least := wanted.min_length) is not None:
        yield lambda value: "min_length" if isinstance(value, str | list) and len(value) < least else None
    if (most := wanted.max_length) is not None:
        yield lambda value: "max_length" if isinstance(value, str | list) and len(value) > most else None


def _holds(pattern: str) -> Callable[[str], bool]:
    """True for a text with a match in it. On its bytes, which RE2 works on and its wrapper answers faster for."""
    search = compiled_pattern(pattern).search

    def found(text: str) -> bool:
        return search(text.encode()) is not None

    repeated = lru_cache(maxsize=1_024)(found)
    return lambda text: repeated(text) if len(text) <= _SHORT else found(text)


def _of_type(types: Sequence[Callable[[Any], bool]]) -> Check:
    if len(types) == 1:
        only = types[0]
        return lambda value: None if only(value) else "type"
    return lambda value: None if any(is_type(value) for is_type in types) else "type"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_number(value: Any) -> bool:
    kind = type(value)
    return kind is int or kind is float


def _is_instant(value: Any) -> bool:
    try:
        parse_instant(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "instant": _is_instant,
}
