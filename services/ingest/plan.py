"""A source's plan, compiled: what is wrong with an event. No I/O.

Paths begin at an event's properties; for what has only traits (identify, group), at those.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from headrace.contracts.plan import NAMED_BY_TYPE, EventPlan, PlanDefinition
from services.ingest.plan_checks import Check, Values, lacking, path_steps, reaching, tester
from services.ingest.rejection import Rejected

CODE = "plan_violation"
UNPLANNED = "(unplanned)"
"""Stands for the names of events that no plan has: in a label there may only be so many."""
_PAGES = {"page": "Page Viewed", "screen": "Screen Viewed"}
_MOST_TOLD = 5


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
        self._plain: list[tuple[str, bool, Check | None]] = []
        self._lacking: list[tuple[str, Callable[[Any], bool]]] = []
        self._deep: list[tuple[str, Values, Check]] = []
        for path in dict.fromkeys([*event.required, *event.properties]):
            steps, required = path_steps(path), path in event.required
            wanted = event.properties.get(path)
            check = None if wanted is None else tester(wanted)
            if len(steps) == 1:
                self._plain.append((path, required, check))
                continue
            if required:
                self._lacking.append((path, lacking(steps)))
            if check is not None:
                self._deep.append((path, reaching(steps), check))

    def violations(self, root: dict[str, Any]) -> list[Violation]:
        found = []
        for path, required, check in self._plain:
            value = root.get(path)
            if value is None:
                reason = "missing" if required else None
            else:
                reason = None if check is None else check(value)
            if reason is not None:
                found.append(Violation(self._name, path, reason))
        for path, lacks in self._lacking:
            if lacks(root):
                found.append(Violation(self._name, path, "missing"))
        for path, values, check in self._deep:
            reasons = {reason: None for value in values(root) if (reason := check(value)) is not None}
            found += [Violation(self._name, path, reason) for reason in reasons]
        return found
