"""A source's plan, compiled: what is wrong with an event. No I/O.

Paths begin at an event's properties; for what has only traits (identify, group), at those.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headrace.contracts.instant import parse_instant
from headrace.contracts.plan import NAMED_BY_TYPE, EventPlan, PlanDefinition, Property
from headrace.contracts.segment_patterns import compiled_pattern
from services.ingest.rejection import Rejected

CODE = "plan_violation"
UNPLANNED = "(unplanned)"
"""Stands for the names of events that no plan has: in a label there may only be so many."""
_PAGES = {"page": "Page Viewed", "screen": "Screen Viewed"}
_MOST_TOLD = 5

Values = Callable[[Any], Iterator[Any]]
Check = Callable[[Any], str | None]
"""From a value to the reason why it is wrong."""


class Violation(NamedTuple):
    """`property` is the path as in the plan, empty for the event itself. Never a value."""

    event: str
    property: str
    reason: str

    def __str__(self) -> str:
        return f"{self.property} ({self.reason})" if self.property else self.reason


class Verdict(NamedTuple):
    """What is wrong, and whether the event is refused for it."""

    violations: Sequence[Violation]
    blocked: bool

    def refusal(self, message_id: str | None) -> Rejected:
        told = ", ".join([str(violation) for violation in self.violations[:_MOST_TOLD]])
        rejected = Rejected(CODE, f"The source's plan refuses {self.violations[0].event}: {told}.")
        rejected.message_id = message_id
        return rejected


class _Planned(msgspec.Struct):
    """What a plan looks at, of an encoded event."""

    type: str
    event: str | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Planned).decode


class Plan:
    """Checks the events of one source."""

    def __init__(self, definition: PlanDefinition) -> None:
        self.definition = definition
        self._unplanned = definition.unplanned
        self._blocks = definition.on_violation == "block"
        self._events = {name: _EventChecks(name, event) for name, event in definition.events.items()}

    def verdict(self, value: bytes) -> Verdict | None:
        """What is wrong with an encoded `contracts.event.Event`; None for an event that is as planned."""
        event = _decode(value)
        kind = event.type
        name = event.event if kind == "track" else _PAGES.get(kind, kind)
        checks = self._events.get(name or "")
        if checks is None or (kind == "track" and name in NAMED_BY_TYPE):
            return self._of_unplanned(name or "") if kind == "track" else None
        violations = checks.violations(event.traits if kind in NAMED_BY_TYPE else event.properties)
        return Verdict(violations, self._blocks) if violations else None

    def _of_unplanned(self, name: str) -> Verdict | None:
        if self._unplanned == "allow":
            return None
        return Verdict([Violation(name, "", "unplanned")], self._unplanned == "block")

    def label(self, event: str) -> str:
        """The event's name where a metric has it."""
        return event if event in self._events else UNPLANNED


Plans = Mapping[str, Plan]
"""By source. A source without a plan may send anything."""


class _EventChecks:
    def __init__(self, name: str, event: EventPlan) -> None:
        self._name = name
        self._required = [(path, _lacks(_steps(path))) for path in event.required]
        self._plain: list[tuple[str, Check]] = []
        self._deep: list[tuple[str, Values, Check]] = []
        for path, wanted in event.properties.items():
            steps = _steps(path)
            if len(steps) == 1:
                self._plain.append((path, _check(wanted)))
            else:
                self._deep.append((path, _values(steps), _check(wanted)))

    def violations(self, root: dict[str, Any]) -> list[Violation]:
        found = [Violation(self._name, path, "missing") for path, lacks in self._required if lacks(root)]
        for path, check in self._plain:
            value = root.get(path)
            if value is not None and (reason := check(value)):
                found.append(Violation(self._name, path, reason))
        for path, values, check in self._deep:
            reasons = dict.fromkeys(reason for value in values(root) if (reason := check(value)))
            found += [Violation(self._name, path, reason) for reason in reasons]
        return found


def _steps(path: str) -> list[str]:
    """`products[].price` in its steps: `products`, `[]`, `price`."""
    steps: list[str] = []
    for name in path.split("."):
        steps.append(name.removesuffix("[]"))
        if name.endswith("[]"):
            steps.append("[]")
    return steps


def _lacks(steps: Sequence[str]) -> Callable[[Any], bool]:
    """True where there is no value; of a list, where one of its items has none."""
    first, rest = steps[0], steps[1:]
    inner = _lacks(rest) if rest else None
    if first == "[]":
        if inner is None:
            return lambda node: not isinstance(node, list)
        return lambda node: not isinstance(node, list) or any(map(inner, node))
    if inner is None:
        return lambda node: not isinstance(node, dict) or node.get(first) is None
    return lambda node: not isinstance(node, dict) or inner(node.get(first))


def _values(steps: Sequence[str]) -> Values:
    """Every value under the path that is not null."""

    def walk(node: Any, at: int = 0) -> Iterator[Any]:
        if at == len(steps):
            if node is not None:
                yield node
        elif steps[at] == "[]":
            for item in node if isinstance(node, list) else ():
                yield from walk(item, at + 1)
        elif isinstance(node, dict):
            yield from walk(node.get(steps[at]), at + 1)

    return walk


def _check(wanted: Property) -> Check:
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
        search = compiled_pattern(wanted.pattern).search
        yield lambda value: "pattern" if isinstance(value, str) and not search(value) else None
    if (low := wanted.minimum) is not None:
        yield lambda value: "minimum" if _is_number(value) and value < low else None
    if (high := wanted.maximum) is not None:
        yield lambda value: "maximum" if _is_number(value) and value > high else None
    if (least := wanted.min_length) is not None:
        yield lambda value: "min_length" if isinstance(value, str | list) and len(value) < least else None
    if (most := wanted.max_length) is not None:
        yield lambda value: "max_length" if isinstance(value, str | list) and len(value) > most else None


def _of_type(types: Sequence[Callable[[Any], bool]]) -> Check:
    if len(types) == 1:
        only = types[0]
        return lambda value: None if only(value) else "type"
    return lambda value: None if any(is_type(value) for is_type in types) else "type"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_instant(value: Any) -> bool:
    try:
        parse_instant(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value == value // 1,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "instant": _is_instant,
}
