"""Why a customer is in a segment or not: each leaf's value, what decided it, when it changes by itself."""

from typing import Any

from headrace.contracts.instant import format_instant
from headrace.contracts.profile_event import EventRow, MergeRow
from headrace.contracts.segment import All, AnyOf, Condition, EventCondition, Not, Trait
from services.segmenter.atoms import Item
from services.segmenter.customer import Customer
from services.segmenter.history import History
from services.segmenter.journal import Journal
from services.segmenter.leaves import EventLeaf, Segment, TraitLeaf
from services.segmenter.plan import Plan

SHOWN_EVENTS = 20
MOST_CHANGES = 10_000


class Explanation:
    """The evaluation of one segment for one customer, recomputed from its history at `now`.

    `plan` must have been compiled with `keep_everything`.
    """

    def __init__(self, plan: Plan, history: History, profile_id: str, *, seq: int, now: int) -> None:
        self._plan = plan
        self._history = history
        self._profile_id = profile_id
        self._before = seq + 1
        self._now = now
        self._customer: Customer = history.state(plan, profile_id, self._before, now)

    def of(self, segment: Segment) -> dict[str, Any]:
        return {
            "result": segment.truth(self._customer, self._now),
            "at": format_instant(self._now),
            "next_change_at": self._next_change(segment),
            "when": self._node(segment.definition.when),
        }

    def _node(self, node: Condition) -> dict[str, Any]:
        if isinstance(node, All | AnyOf):
            children = node.all if isinstance(node, All) else node.any
            parts = [self._node(child) for child in children]
            join = all if isinstance(node, All) else any
            kind = "all" if isinstance(node, All) else "any"
            return {"result": join(part["result"] for part in parts), kind: parts}
        if isinstance(node, Not):
            part = self._node(node.not_)
            return {"result": not part["result"], "not": part}
        return self._event(node) if isinstance(node, EventCondition) else self._trait(node)

    def _event(self, node: EventCondition) -> dict[str, Any]:
        leaf = self._plan.leaf(node)
        assert isinstance(leaf, EventLeaf)
        aggregate = leaf.aggregate
        journal = self._customer.journal(aggregate.atom.journal) or Journal()
        state = journal.state(aggregate.atom.id)
        change = aggregate.next_change(journal, self._now)
        return {
            "result": leaf.truth(self._customer, self._now),
            "event": node.event.model_dump(mode="json", by_alias=True, exclude_none=True),
            "value": aggregate.value(journal, self._now),
            "approximate": state is not None and state.approximate,
            "events": [_item(item) for item in aggregate.items(journal, self._now)[-SHOWN_EVENTS:]],
            "next_change_at": format_instant(change) if change else None,
        }

    def _trait(self, node: Trait) -> dict[str, Any]:
        leaf = self._plan.leaf(node)
        assert isinstance(leaf, TraitLeaf)
        setter = self._history.setter(self._profile_id, leaf.root, self._before)
        return {
            "result": leaf.truth(self._customer, self._now),
            "trait": node.trait.model_dump(mode="json", by_alias=True, exclude_none=True),
            "value": next(iter(leaf.values(self._customer)), None),
            "events": [] if setter is None else [_setter(setter)],
            "next_change_at": None,
        }

    def _next_change(self, segment: Segment) -> str | None:
        """The first instant at which the whole segment changes if nothing happens."""
        instant, truth = self._now, segment.truth(self._customer, self._now)
        for _ in range(MOST_CHANGES):
            changes = [
                change
                for leaf in segment.leaves
                if isinstance(leaf, EventLeaf)
                and (journal := self._customer.journal(leaf.aggregate.atom.journal)) is not None
                and (change := leaf.aggregate.next_change(journal, instant))
            ]
            if not changes:
                return None
            instant = min(changes)
            if segment.truth(self._customer, instant) != truth:
                return format_instant(instant)
        return None


def _item(item: Item) -> dict[str, Any]:
    ts, source, message_id, value = item
    shown = {"message_id": message_id, "source": source, "timestamp": format_instant(ts)}
    return shown if value is None else {**shown, "value": value}


def _setter(row: EventRow | MergeRow) -> dict[str, Any]:
    return {"message_id": row.message_id, "source": row.source, "timestamp": format_instant(row.time)}
