"""Compiled definitions: shared atoms, and indexes from what an event touches to the segments it may flip.

Identical (event names, filter, aggregate, path) pieces are one atom per customer, however many segments use
them. Only published versions are evaluated; versions in preparation only have their atoms kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from headrace.contracts.segment import (
    All,
    AnyOf,
    Condition,
    EventTest,
    Leaf,
    Not,
    SegmentDefinition,
    Trait,
    TraitTest,
    ValueTest,
)
from services.segmenter.atoms import MAX_ITEMS, Aggregate, Atom, Filter, Mismatches, satisfied
from services.segmenter.compare import Test, number_test, value_test
from services.segmenter.customer import Customer
from services.segmenter.paths import decode_json, lookup, parse_path

ALWAYS_KEPT = frozenset({"email", "phone"})  # every change of a segment carries them
_encoder = msgspec.json.Encoder(order="deterministic")


class TraitLeaf:
    """One comparison of a trait: what a trait condition is."""

    __slots__ = ("_exists", "_mismatches", "_steps", "_test", "index", "root")

    def __init__(self, index: int, test: TraitTest, mismatches: Mismatches) -> None:
        self.index = index
        self._steps = parse_path(test.name)
        self.root = self._steps[0][0]
        self._test, self._exists = _compile(test)
        self._mismatches = mismatches

    def values(self, customer: Customer) -> list[Any]:
        raw = customer.traits.get(self.root)
        return [] if raw is None else lookup({self.root: decode_json(raw)}, self._steps)

    def truth(self, customer: Customer, now: int) -> bool:
        return satisfied(self.values(customer), self._test, self._exists, self._mismatches)


class EventLeaf:
    """An aggregate of the customer's events compared in a window."""

    __slots__ = ("aggregate", "index")

    def __init__(self, index: int, aggregate: Aggregate) -> None:
        self.index = index
        self.aggregate = aggregate

    def truth(self, customer: Customer, now: int) -> bool:
        return self.aggregate.truth(customer.atoms.get(self.aggregate.atom.id), now)


PlanLeaf = TraitLeaf | EventLeaf
Formula = Callable[[Customer, int], bool]


class Segment:
    """A published version: `truth` of its whole tree, and its leaves in the order of the definition."""

    __slots__ = ("definition", "id", "leaves", "name", "truth", "version")

    def __init__(
        self, definition: SegmentDefinition, version: int, truth: Formula, leaves: Sequence[PlanLeaf]
    ) -> None:
        self.definition = definition
        self.id = definition.id
        self.name = definition.name
        self.version = version
        self.truth = truth
        self.leaves = tuple(leaves)


class Plan:
    """What a fold evaluates. Built once per change of definitions; never mutated while in use."""

    def __init__(self) -> None:
        self.mismatches = Mismatches()
        self.atoms: dict[str, Atom] = {}
        self.atoms_by_event: dict[str, list[Atom]] = {}
        self.leaves_by_atom: dict[str, list[EventLeaf]] = {}
        self.leaves_by_trait: dict[str, list[TraitLeaf]] = {}
        self.segments: dict[str, Segment] = {}
        self.paused: dict[str, Segment] = {}
        self.segments_by_leaf: dict[int, list[Segment]] = {}
        self.true_when_empty: list[Segment] = []
        self._leaves: dict[bytes, PlanLeaf] = {}
        self.traits: frozenset[str] = ALWAYS_KEPT

    def leaf(self, node: Leaf) -> PlanLeaf:
        """The compiled form of a leaf of one of the plan's definitions."""
        return self._leaves[leaf_key(node)]

    def add_leaf(self, node: Leaf, leaf: PlanLeaf) -> None:
        self._leaves[leaf_key(node)] = leaf

    def knows(self, node: Leaf) -> bool:
        return leaf_key(node) in self._leaves


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
        self._indexed: set[int] = set()
        self._traits = set(ALWAYS_KEPT)

    def publish(self, definition: SegmentDefinition, version: int) -> None:
        segment = self._segment(definition, version)
        self.plan.segments[segment.id] = segment
        for leaf in segment.leaves:
            self.plan.segments_by_leaf.setdefault(leaf.index, []).append(segment)
            self._index(leaf)
        if segment.truth(Customer(), 0):
            self.plan.true_when_empty.append(segment)

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
        self.plan.traits = frozenset(self._traits)
        return self.plan

    def _segment(self, definition: SegmentDefinition, version: int) -> Segment:
        self._segment_leaves = {}
        truth = self.formula(definition.when)
        return Segment(definition, version, truth, list(self._segment_leaves.values()))

    def _leaf(self, node: Leaf) -> PlanLeaf:
        if not self.plan.knows(node):
            index = self._next_index
            self._next_index += 1
            if isinstance(node, Trait):
                trait = TraitLeaf(index, node.trait, self.plan.mismatches)
                self._traits.add(trait.root)
                self.plan.add_leaf(node, trait)
            else:
                self.plan.add_leaf(node, EventLeaf(index, self._aggregate(index, node.event)))
        return self.plan.leaf(node)

    def _aggregate(self, index: int, test: EventTest) -> Aggregate:
        atom = self._atom(test)
        counted = test.sum or test.count
        name, operand = counted.operator if counted is not None else ("gte", 1)
        window = test.within_ms
        if window is not None:
            threshold = max(operand) if isinstance(operand, tuple) else operand
            atom.need(window, MAX_ITEMS if test.sum else int(threshold) + 1)
        if self._keep_everything:
            atom.need(None, MAX_ITEMS)
        return Aggregate(index, atom, window, number_test(name, operand))

    def _atom(self, test: EventTest) -> Atom:
        where = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in test.where]
        names = sorted(set(test.name))
        shape = {
            "names": names,
            "where": sorted(where, key=_key),
            "sum": test.sum.of if test.sum else None,
        }
        key = blake2b(_key(shape), digest_size=8).hexdigest()
        if key not in self.plan.atoms:
            filters = [Filter(parse_path(item.path), *_compile(item)) for item in test.where]
            of = parse_path(test.sum.of) if test.sum else None
            atom = Atom(key, names, filters, of)
            self.plan.atoms[key] = atom
            for name in atom.names:
                self.plan.atoms_by_event.setdefault(name, []).append(atom)
        return self.plan.atoms[key]

    def _index(self, leaf: PlanLeaf) -> None:
        if leaf.index in self._indexed:
            return
        self._indexed.add(leaf.index)
        if isinstance(leaf, TraitLeaf):
            self.plan.leaves_by_trait.setdefault(leaf.root, []).append(leaf)
        else:
            self.plan.leaves_by_atom.setdefault(leaf.aggregate.atom.id, []).append(leaf)


def _join(children: Sequence[Formula], *, every: bool) -> Formula:
    if len(children) == 1:
        return children[0]
    join = all if every else any
    return lambda customer, now: join(child(customer, now) for child in children)


def _compile(test: ValueTest) -> tuple[Test | None, bool | None]:
    name, operand = test.operator
    return (None, operand) if name == "exists" else (value_test(name, operand), None)


def leaf_key(node: Leaf) -> bytes:
    """Equal for leaves that ask the same."""
    return _key(node.model_dump(mode="json", by_alias=True, exclude_none=True))


def _key(shape: Mapping[str, Any]) -> bytes:
    return _encoder.encode(shape)
