"""Why a customer is in a segment or not: each leaf's value, what decided it, when it changes by itself."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headrace.contracts.instant import format_instant
from headrace.contracts.segment import SegmentDefinition
from headrace.contracts.segment_conditions import All, AnyOf, Condition, Held, InSegment, Leaf, Not, Percent
from services.segmenter.atoms import Item
from services.segmenter.computed import ComputedLeaf
from services.segmenter.customer import Customer, StatingRow
from services.segmenter.held import HeldLeaf
from services.segmenter.history import History
from services.segmenter.journal import Journal
from services.segmenter.latest import LOCATION
from services.segmenter.leaves import EventLeaf, PlanLeaf, Segment, TraitLeaf, trait_values
from services.segmenter.other_leaves import DateLeaf, GeoLeaf, MemberLeaf, bucket
from services.segmenter.plan import Plan
from services.segmenter.runs import Run
from services.segmenter.sequence_leaf import SequenceLeaf
from services.segmenter.timed import TimedLeaf
from services.segmenter.value_leaves import ItemLeaf, ScoreLeaf, ValueLeaf

SHOWN_EVENTS = 20
SHOWN_RUNS = 20
MOST_CHANGES = 10_000

_CALENDAR_END = 253_402_300_800_000  # the year 10000

Part = dict[str, Any]


class Explanation:
    """The evaluation of one segment for one customer, recomputed from its history at `now`.

    `plan` must have been compiled with `keep_everything` and with the definitions that are `asked` for; `live` is
    the customer as it is kept, whose memberships answer for paused segments.
    """

    def __init__(
        self,
        plan: Plan,
        history: History,
        live: Customer,
        *,
        seq: int,
        now: int,
        asked: Mapping[str, SegmentDefinition],
    ) -> None:
        self._plan = plan
        self._history = history
        self._before = seq + 1
        self._now = now
        self._asked = asked
        self._customer: Customer = history.state(plan, live.profile_id, self._before, now)
        self._customer.members = live.members

    def of(self, segment: Segment) -> Part:
        return {
            "result": segment.truth(self._customer, self._now),
            "at": format_instant(self._now),
            "next_change_at": self._next_change(segment),
            "when": self._node(segment.definition.when, ()),
        }

    def _node(self, node: Condition, path: tuple[str, ...]) -> Part:
        if isinstance(node, All | AnyOf):
            parts = [self._node(child, path) for child in (node.all if isinstance(node, All) else node.any)]
            join, kind = (all, "all") if isinstance(node, All) else (any, "any")
            return {"result": join(part["result"] for part in parts), kind: parts}
        if isinstance(node, Not):
            part = self._node(node.not_, path)
            return {"result": not part["result"], "not": part}
        if isinstance(node, InSegment) and node.key not in self._plan.leaves:
            return self._segment(node, path)
        return self._leaf(node, path)

    def _segment(self, node: InSegment, path: tuple[str, ...]) -> Part:
        """A segment that is evaluated in place."""
        shown, definition = _shown(node), self._asked.get(node.segment.id)
        if definition is None or definition.id in path:
            return {"result": not node.segment.member, **shown, "reason": "this segment has no live version"}
        part = self._node(definition.when, (*path, definition.id))
        return {"result": part["result"] is node.segment.member, **shown, "when": part}

    def _leaf(self, node: Leaf, path: tuple[str, ...]) -> Part:
        leaf = self._plan.leaves[node.key]
        change = self._change(leaf, self._now)
        return {
            "result": leaf.truth(self._customer, self._now),
            **_shown(node),
            **self._value(node, leaf, path),
            "next_change_at": _instant(change),
        }

    def _value(self, node: Leaf, leaf: PlanLeaf, path: tuple[str, ...]) -> Part:
        """What is compared, and the events that it comes from."""
        if isinstance(leaf, EventLeaf):
            return self._counted(leaf)
        if isinstance(leaf, TraitLeaf | DateLeaf):
            return self._trait(leaf)
        if isinstance(leaf, HeldLeaf):
            inner = node.held.condition if isinstance(node, Held) else _bare(node)
            return {"value": None, "condition": self._node(inner, path)}
        if isinstance(node, Percent):
            return {"value": bucket(node.percent.salt, self._customer.profile_id) / 100, "events": []}
        for kind, describe in self._describers():
            if isinstance(leaf, kind):
                return describe(leaf)
        return {"value": leaf.truth(self._customer, self._now), "events": []}

    def _describers(self) -> Iterable[tuple[type[TimedLeaf], Callable[[Any], Part]]]:
        yield ComputedLeaf, self._computed
        yield ScoreLeaf, self._scores
        yield ValueLeaf, self._aggregated
        yield SequenceLeaf, self._sequence
        yield GeoLeaf, self._place
        yield MemberLeaf, self._membership

    def _counted(self, leaf: EventLeaf) -> Part:
        aggregate = leaf.aggregate
        journal = self._customer.journal(aggregate.atom.journal) or Journal()
        state = journal.state(aggregate.atom.id)
        return {
            "value": aggregate.value(journal, self._now),
            "approximate": state is not None and state.approximate,
            "events": [_item(item) for item in aggregate.items(journal, self._now)[-SHOWN_EVENTS:]],
        }

    def _trait(self, leaf: TraitLeaf | DateLeaf) -> Part:
        setter = self._history.setter(self._customer.profile_id, leaf.root, self._before)
        values = trait_values(self._customer.traits.get(leaf.root), leaf.steps)
        return {"value": next(iter(values), None), "events": [] if setter is None else [_setter(setter)]}

    def _computed(self, leaf: ComputedLeaf) -> Part:
        if leaf.figure is None:
            return {"value": None, "events": [], "reason": "this computed trait has no live version"}
        return {"value": leaf.figure.shown(self._customer, self._now), **self._items(leaf.figure)}

    def _aggregated(self, leaf: ValueLeaf) -> Part:
        value = leaf.value(self._customer, self._now)
        if value is None:
            value = leaf.atom.aggregate.nothing
        return {"value": _plain(value), **self._items(leaf)}

    def _scores(self, leaf: ScoreLeaf) -> Part:
        figures = leaf.figures(self._customer, self._now)
        scores = leaf.scores(self._customer, self._now)
        if figures is None:
            return {"value": None, "events": []}
        shown = {"recency": format_instant(figures[0]), "frequency": figures[1], "monetary": figures[2]}
        named = None if scores is None else dict(zip(shown, scores, strict=True))
        return {"value": shown, "scores": named, **self._items(leaf)}

    def _items(self, leaf: ItemLeaf) -> Part:
        journal, state = leaf.kept(self._customer)
        if journal is None or state is None:
            return {"approximate": False, "events": []}
        after = None if leaf.window is None else self._now - leaf.window
        start, end = leaf.atom.slice(journal, state, after, None)
        held = state.held[max(start, end - SHOWN_EVENTS) : end]
        return {
            "approximate": state.approximate,
            "events": [_item((*journal.event(number), None)) for number in held],
        }

    def _sequence(self, leaf: SequenceLeaf) -> Part:
        runs = self._customer.runs_of(leaf.id)
        shown = [] if runs is None else [self._run(key, run) for key, run in list(runs.items())[-SHOWN_RUNS:]]
        return {"value": any(run["result"] for run in shown), "runs": shown}

    def _run(self, key: str, run: Run) -> Part:
        return {
            "result": run.start <= self._now < run.end,
            "by": key[1:] or None,
            "from": _instant(run.start) if run.start < run.end else None,
            "until": _instant(run.end) if run.start < run.end else None,
            "completed_by": None if run.since < 0 else run.items[run.since][2],
            "events": [_item((*item[:3], None)) for item in run.items[-SHOWN_EVENTS:]],
        }

    def _place(self, leaf: GeoLeaf) -> Part:
        known = self._customer.latest.get(LOCATION)
        if not known:
            return {"value": None, "events": []}
        ts, source, message_id, place = known[-1]
        return {
            "value": leaf.kilometres(self._customer),
            "location": list(place),
            "events": [_item((ts, source, message_id, None))],
        }

    def _membership(self, leaf: MemberLeaf) -> Part:
        held = self._customer.members.get(leaf.segment_id)
        return {"value": held is not None, "entry_id": None if held is None else held.entry_id, "events": []}

    def _change(self, leaf: PlanLeaf, now: int) -> int:
        """When, after `now`, the leaf changes if nothing happens (0: never)."""
        if isinstance(leaf, EventLeaf):
            journal = self._customer.journal(leaf.aggregate.atom.journal)
            return 0 if journal is None else leaf.aggregate.next_change(journal, now)
        if isinstance(leaf, ComputedLeaf):
            return leaf.next_flip(self._customer, now)
        return 0 if isinstance(leaf, TraitLeaf) else leaf.next_change(self._customer, now)

    def _next_change(self, segment: Segment) -> str | None:
        """The first instant at which the whole segment changes if nothing happens."""
        instant, truth = self._now, segment.truth(self._customer, self._now)
        for _ in range(MOST_CHANGES):
            changes = [change for leaf in segment.leaves if (change := self._change(leaf, instant))]
            if not changes:
                return None
            instant = min(changes)
            if segment.truth(self._customer, instant) != truth:
                return _instant(instant)
        return None


def _bare(node: Condition) -> Condition:
    assert isinstance(node, InSegment)  # of the leaves only it looks back besides `held`
    return InSegment(segment=node.segment.model_copy(update={"for_": None}))


def _instant(at: int) -> str | None:
    """None where there is none, or none that a calendar has."""
    return format_instant(at) if 0 < at < _CALENDAR_END else None


def _shown(node: Leaf) -> Part:
    return node.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] / value[1]  # a mean
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _item(item: Item) -> Part:
    ts, source, message_id, value = item
    shown = {"message_id": message_id, "source": source, "timestamp": format_instant(ts)}
    return shown if value is None else {**shown, "value": value}


def _setter(row: StatingRow) -> Part:
    return {"message_id": row.message_id, "source": row.source, "timestamp": format_instant(row.time)}
