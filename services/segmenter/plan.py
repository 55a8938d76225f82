"""Compiled definitions: shared atoms, and indexes from what an event touches to the segments it may flip.

Identical (event names, filter, aggregate, path) pieces are one atom per customer, however many segments use
them. Only published versions are evaluated; versions in preparation only have their atoms kept.
"""

from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from headrace.contracts.segment import (
    All,
    AnyOf,
    Condition,
    EventCondition,
    EventTest,
    Leaf,
    Not,
    SegmentDefinition,
    Trait,
)
from services.segmenter.atoms import MAX_ITEMS, Aggregate, Atom, Filter
from services.segmenter.compare import Mismatches
from services.segmenter.customer import Customer
from services.segmenter.leaves import EventLeaf, Formula, PlanLeaf, Reach, Segment, TraitLeaf, reach
from services.segmenter.paths import parse_path
from services.segmenter.touch_index import EventIndex, TraitIndex

ALWAYS_KEPT = frozenset({"email", "phone"})  # every change of a segment carries them
_KNOWN_SHAPES = 65_536
_encoder = msgspec.json.Encoder(order="deterministic")
_NOBODY = Customer()


class Plan:
    """What a fold evaluates. Built once per change of definitions; never mutated while in use.

    `windows`: by journal, the longest look back at its events (None: for ever). `reached` (by a leaf's index, when
    it becomes false and when it becomes true) has the published segments only, and so has `true_when_empty`: what
    is true of a customer without events and traits.
    """

    def __init__(self) -> None:
        self.mismatches = Mismatches()
        self.atoms: dict[str, Atom] = {}
        self.windows: dict[str, int | None] = {}
        self.events: dict[str, EventIndex] = {}
        self.traits: dict[str, TraitIndex] = {}
        self.kept_traits: frozenset[str] = ALWAYS_KEPT
        self.segments: dict[str, Segment] = {}
        self.paused: dict[str, Segment] = {}
        self.reached: dict[int, tuple[Reach, Reach]] = {}
        self.true_when_empty: dict[str, Segment] = {}
        self._leaves: dict[bytes, PlanLeaf] = {}

    def leaf(self, node: Leaf) -> PlanLeaf:
        """The compiled form of a leaf of one of the plan's definitions."""
        return self._leaves[node.key]

    def add_leaf(self, node: Leaf, leaf: PlanLeaf) -> None:
        self._leaves[node.key] = leaf

    def knows(self, node: Leaf) -> bool:
        return node.key in self._leaves


def compile_plan(
    published: Iterable[tuple[SegmentDefinition, int]],
    paused: Iterable[tuple[SegmentDefinition, int]] = (),
    prepared: Iterable[SegmentDefinition] = (),
    *,
    keep_everything: bool = False,
) -> Plan:
    """A plan that evaluates `published` and keeps the state of `paused` and `prepared` as well.

    `keep_everything` keeps up to 10,000 events of every atom whatever the windows: for explanations.
    """
    builder = _Builder(keep_everything)
    for definition, version in published:
        builder.publish(definition, version)
    for definition, version in paused:
        builder.pause(definition, version)
    for definition in prepared:
        builder.formula(definition.when)
    return builder.finish()


class _Builder:
    def __init__(self, keep_everything: bool) -> None:
        self.plan = Plan()
        self._keep_everything = keep_everything
        self._next_index = 0
        self._segment_leaves: dict[int, PlanLeaf] = {}
        self._published: dict[int, list[Segment]] = {}
        self._traits = set(ALWAYS_KEPT)

    def publish(self, definition: SegmentDefinition, version: int) -> None:
        plan, segment = self.plan, self._segment(definition, version)
        plan.segments[segment.id] = segment
        for leaf in segment.leaves:
            if leaf.index not in self._published:
                self._published[leaf.index] = []
                self._index(leaf)
            self._published[leaf.index].append(segment)
        if segment.truth(_NOBODY, 0):
            plan.true_when_empty[segment.id] = segment

    def pause(self, definition: SegmentDefinition, version: int) -> None:
        self.plan.paused[definition.id] = self._segment(definition, version)

    def formula(self, node: Condition) -> Formula:
        if isinstance(node, All | AnyOf):
            children = node.all if isinstance(node, All) else node.any
            return _join([self.formula(child) for child in children], every=isinstance(node, All))
        if isinstance(node, Not):
            inner = self.formula(node.not_)
            return lambda customer, now: not inner(customer, now)
        leaf = self._leaf(node)
        self._segment_leaves[leaf.index] = leaf
        return leaf.truth

    def finish(self) -> Plan:
        """The plan; what a journal keeps follows from its atoms."""
        plan = self.plan
        plan.kept_traits = frozenset(self._traits)
        for index, segments in self._published.items():
            plan.reached[index] = reach(segments, index, False), reach(segments, index, True)
        for atom in plan.atoms.values():
            longest = plan.windows.get(atom.journal, 0)
            forever = longest is None or atom.window is None
            plan.windows[atom.journal] = None if forever else max(longest or 0, atom.window or 0)
            for name in atom.names:
                if name not in plan.events:
                    plan.events[name] = EventIndex()
                plan.events[name].add(atom)
        return plan

    def _segment(self, definition: SegmentDefinition, version: int) -> Segment:
        self._segment_leaves = {}
        truth = self.formula(definition.when)
        needs = dict(self._needs(definition.when))
        return Segment(definition, version, truth, list(self._segment_leaves.values()), needs)

    def _needs(self, node: Condition) -> Iterator[tuple[int, bool]]:
        """The leaves, or negated leaves, of which all must hold."""
        children = node.all if isinstance(node, All) else (node,)
        for child in children:
            wanted, inner = (False, child.not_) if isinstance(child, Not) else (True, child)
            if isinstance(inner, Trait | EventCondition):
                yield self.plan.leaf(inner).index, wanted

    def _leaf(self, node: Leaf) -> PlanLeaf:
        if not self.plan.knows(node):
            index = self._next_index
            self._next_index += 1
            if isinstance(node, Trait):
                trait = TraitLeaf(index, node.trait, self.plan.mismatches)
                self._traits.add(trait.root)
                self.plan.add_leaf(node, trait)
            else:
                self.plan.add_leaf(node, EventLeaf(index, self._aggregate(index, node.key, node.event)))
        return self.plan.leaf(node)

    def _aggregate(self, index: int, key: bytes, test: EventTest) -> Aggregate:
        atom = self._atom(key, test)
        counted = test.sum or test.count
        operator, operand = counted.operator if counted is not None else ("gte", 1)
        window = test.within_ms
        if window is not None:
            threshold = max(operand) if isinstance(operand, tuple) else operand
            atom.need(window, MAX_ITEMS if test.sum else int(threshold) + 1)
        if self._keep_everything:
            atom.need(None, MAX_ITEMS)
        return Aggregate(index, atom, window, operator, operand)

    def _atom(self, key: bytes, test: EventTest) -> Atom:
        journal, atom_id = _shape(key)
        if atom_id not in self.plan.atoms:
            filters = [Filter(parse_path(item.path), *item.operator) for item in test.where]
            of = parse_path(test.sum.of) if test.sum else None
            self.plan.atoms[atom_id] = Atom(atom_id, journal, sorted(set(test.name)), filters, of)
        return self.plan.atoms[atom_id]

    def _index(self, leaf: PlanLeaf) -> None:
        if isinstance(leaf, EventLeaf):
            leaf.aggregate.atom.watch(leaf.aggregate)
            return
        if leaf.root not in self.plan.traits:
            self.plan.traits[leaf.root] = TraitIndex()
        self.plan.traits[leaf.root].add(leaf)


def _join(children: Sequence[Formula], *, every: bool) -> Formula:
    if len(children) == 1:
        return children[0]
    if len(children) == 2:
        left, right = children
        if every:
            return lambda customer, now: left(customer, now) and right(customer, now)
        return lambda customer, now: left(customer, now) or right(customer, now)
    join = all if every else any
    return lambda customer, now: join(child(customer, now) for child in children)


@lru_cache(maxsize=_KNOWN_SHAPES)
def _shape(leaf_key: bytes) -> tuple[str, str]:
    """The ids of the journal and of the atom of an event condition: equal for conditions that share them."""
    test = msgspec.json.decode(leaf_key)["event"]
    names = sorted(set(test["name"]))
    shape = {
        "names": names,
        "where": sorted(test.get("where", ()), key=_encoder.encode),
        "sum": test["sum"]["of"] if "sum" in test else None,
    }
    return _digest(names), _digest(shape)


def _digest(shape: Sequence[Any] | Mapping[str, Any]) -> str:
    return b2a_base64(blake2b(_encoder.encode(shape), digest_size=9).digest(), newline=False).decode()
