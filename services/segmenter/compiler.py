"""From definitions to a plan (plan.py)."""

from binascii import b2a_base64
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment import Definition, SegmentDefinition
from headrace.contracts.segment_conditions import (
    All,
    AnyOf,
    Condition,
    Consent,
    EventCondition,
    Geo,
    Held,
    InSegment,
    Leaf,
    Message,
    Not,
    Percent,
    Rfm,
    Tagged,
    Trait,
    children,
    referenced,
    response_events,
)
from headrace.contracts.segment_conditions import (
    Sequence as SequenceCondition,
)
from headrace.contracts.segment_tests import EventTest, WhereTest
from services.segmenter.aggregates import AGGREGATES
from services.segmenter.atoms import Aggregate, Atom
from services.segmenter.compare import number_test, satisfied, value_test
from services.segmenter.customer import CONSENT, TAG, Customer
from services.segmenter.filters import filter_of
from services.segmenter.held import HeldLeaf
from services.segmenter.items import MAX_ITEMS, ItemAtom, Scope
from services.segmenter.latest import LOCATION, ZONE, ZONE_TRAIT
from services.segmenter.leaves import EventLeaf, Formula, PlanLeaf, Segment, TraitLeaf, reach
from services.segmenter.other_leaves import DATES, DateLeaf, GeoLeaf, MemberLeaf, PercentLeaf
from services.segmenter.paths import parse_path
from services.segmenter.plan import ALWAYS_KEPT, Plan
from services.segmenter.sequence_leaf import SequenceLeaf
from services.segmenter.timed import TimedLeaf
from services.segmenter.touch_index import TraitIndex
from services.segmenter.value_leaves import ItemLeaf, ScoreLeaf, ValueLeaf

_KNOWN_SHAPES = 65_536
_encoder = msgspec.json.Encoder(order="deterministic")
_NOBODY = Customer()


def compile_plan(
    published: Iterable[tuple[Definition, int]],
    paused: Iterable[tuple[Definition, int]] = (),
    prepared: Iterable[Definition] = (),
    *,
    cuts: Mapping[str, CutPoints] | None = None,
    keep_everything: bool = False,
    asked: Mapping[str, SegmentDefinition] | None = None,
) -> Plan:
    """A plan that evaluates `published` and keeps the state of `paused` and `prepared` as well.

    `keep_everything` keeps up to 10,000 events of every atom whatever the windows: for explanations. `asked`: the
    definitions that `segment` conditions ask for are evaluated in place, of these; by default membership answers.
    """
    builder = _Builder(cuts or {}, keep_everything=keep_everything, asked=asked)
    on_hold = [(segment, version, of.id) for of, version in paused for segment in of.segments()]
    live = [(segment, version, of.id) for of, version in published for segment in of.segments()]
    builder.know([*on_hold, *live], {segment.id for segment, _, _ in on_hold})
    for segment, version, slot in live:
        builder.publish(segment, version, slot)
    for segment, version, slot in on_hold:
        builder.pause(segment, version, slot)
    builder.prepare([segment for of in prepared for segment in of.segments()])
    return builder.finish()


@dataclass(frozen=True)
class _Scope:
    """Where in a definition a condition stands: how far back it is looked at, and whose definitions count for
    `segment` conditions that are evaluated in place (None: membership answers). `leaves` collects."""

    lookback: int = 0
    inline: Mapping[str, SegmentDefinition] | None = None
    within: tuple[str, ...] = ()
    leaves: dict[int, PlanLeaf] = field(default_factory=dict)


_Pair = tuple[Formula, Formula]  # at present, and looking back


class _Builder:
    def __init__(
        self,
        cuts: Mapping[str, CutPoints],
        *,
        keep_everything: bool,
        asked: Mapping[str, SegmentDefinition] | None,
    ) -> None:
        self.plan = Plan()
        self._cuts = cuts
        self._keep_everything = keep_everything
        self._asked = asked
        self._known: dict[str, SegmentDefinition] = {}
        self._paused: set[str] = set()
        self._ranks: dict[str, int] = {}
        self._next_index = 0
        self._published: dict[int, list[Segment]] = {}
        self._traits = set(ALWAYS_KEPT)

    def know(self, segments: Iterable[tuple[SegmentDefinition, int, str]], paused: set[str]) -> None:
        self._known = {segment.id: segment for segment, _, _ in segments}
        self._paused = paused

    def publish(self, definition: SegmentDefinition, version: int, slot: str) -> None:
        segment = self._segment(definition, version, slot)
        self.plan.segments[segment.id] = segment
        for leaf in segment.leaves:
            if leaf.index not in self._published:
                self._published[leaf.index] = []
                self._index(leaf)
            self._published[leaf.index].append(segment)

    def pause(self, definition: SegmentDefinition, version: int, slot: str) -> None:
        self.plan.paused[definition.id] = self._segment(definition, version, slot)

    def prepare(self, definitions: Sequence[SegmentDefinition]) -> None:
        """Keep the state of these versions, and of what looks back at them in place, once they are live."""
        asking: dict[str, list[SegmentDefinition]] = {}
        for other in (*self._known.values(), *definitions):
            for key in referenced(other.when):
                asking.setdefault(key, []).append(other)
        for definition in definitions:
            self._formula(definition.when, self._scope(self._with(definition)))
            for other in asking.get(definition.id, ()):
                self._formula(other.when, self._scope(self._with(other, definition)))

    def _with(self, *definitions: SegmentDefinition) -> Mapping[str, SegmentDefinition]:
        if not any(referenced(definition.when) for definition in definitions):
            return self._known
        return ChainMap({definition.id: definition for definition in definitions}, self._known)

    def finish(self) -> Plan:
        """The plan; what a journal keeps follows from its atoms."""
        plan = self.plan
        plan.kept_traits = frozenset(self._traits)
        for index, segments in self._published.items():
            plan.reached[index] = reach(segments, index, False), reach(segments, index, True)
        for segment in plan.ordered(plan.segments):
            if (
                segment.truth(_NOBODY, 0)
                or self._by_chance(segment.leaves)
                or segment.asks_for & plan.when_new.keys()
            ):
                plan.when_new[segment.id] = segment
        if self._keep_everything:
            for atom in plan.items.values():
                atom.hold_everything()
        plan.index()
        return plan

    def _scope(self, inline: Mapping[str, SegmentDefinition] | None = None) -> _Scope:
        return _Scope(inline=inline if self._asked is None else self._asked)

    def _segment(self, definition: SegmentDefinition, version: int, slot: str) -> Segment:
        scope = self._scope()
        truth, _ = self._formula(definition.when, scope)
        asks_for = frozenset(referenced(definition.when))
        return Segment(
            definition,
            version,
            truth,
            list(scope.leaves.values()),
            dict(self._needs(definition.when)) if self._asked is None else {},
            rank=self._rank(definition.id, ()),
            slot=slot,
            asks_for=asks_for,
            populations=frozenset(_populations(scope.leaves.values())),
        )

    def _rank(self, segment_id: str, path: tuple[str, ...]) -> int:
        """1 + the greatest of those it asks for; a cycle, which the API refuses, ends somewhere."""
        definition = self._known.get(segment_id)
        if definition is None or segment_id in path:
            return 0
        if segment_id not in self._ranks:
            below = [self._rank(key, (*path, segment_id)) for key in referenced(definition.when)]
            self._ranks[segment_id] = 1 + max(below) if below else 0
        return self._ranks[segment_id]

    def _needs(self, node: Condition) -> Iterable[tuple[int, bool]]:
        """The leaves, or negated leaves, of which all must hold."""
        for child in node.all if isinstance(node, All) else (node,):
            wanted, inner = (False, child.not_) if isinstance(child, Not) else (True, child)
            if not isinstance(inner, All | AnyOf | Not):
                yield self.plan.leaves[inner.key].index, wanted

    def _formula(self, node: Condition, scope: _Scope) -> _Pair:
        if isinstance(node, All | AnyOf):
            pairs = [self._formula(child, scope) for child in children(node)]
            every = isinstance(node, All)
            return _join([pair[0] for pair in pairs], every=every), _join([pair[1] for pair in pairs], every=every)
        if isinstance(node, Not):
            now, then = self._formula(node.not_, scope)
            return _negated(now), _negated(then)
        if isinstance(node, InSegment) and node.segment.for_ is None and scope.inline is not None:
            return self._in_place(node, scope.inline, scope)
        leaf = self._leaf(node, scope)
        self._require(leaf, scope.lookback)
        scope.leaves[leaf.index] = leaf
        return leaf.truth, leaf.past

    def _in_place(self, node: InSegment, known: Mapping[str, SegmentDefinition], scope: _Scope) -> _Pair:
        key = node.segment.id
        if key in self._paused:
            leaf = self._member(node)
            scope.leaves[leaf.index] = leaf
            return leaf.truth, leaf.past
        definition = known.get(key)
        if definition is None or key in scope.within:
            return (_never, _never) if node.segment.member else (_always, _always)
        now, then = self._formula(definition.when, replace(scope, within=(*scope.within, key)))
        return (now, then) if node.segment.member else (_negated(now), _negated(then))

    def _leaf(self, node: Leaf, scope: _Scope) -> PlanLeaf:
        if isinstance(node, Held | InSegment):
            return self._looking_at_segments(node, scope)
        leaf = self.plan.leaves.get(node.key)
        if leaf is None:
            index = self._next_index
            self._next_index += 1
            leaf = self.plan.leaves[node.key] = self._made(index, node)
        return leaf

    def _made(self, index: int, node: Leaf) -> PlanLeaf:
        key = leaf_id(node)
        if isinstance(node, Trait):
            return self._trait(index, key, node)
        if isinstance(node, EventCondition):
            return self._event(index, key, node.key, node.event)
        if isinstance(node, Message):
            return self._event(index, key, node.key, _as_event(node))
        if isinstance(node, Tagged):
            return self._stated(index, TAG + node.tag.name, True)
        if isinstance(node, Consent):
            return self._stated(index, CONSENT + node.consent.channel, node.consent.is_)
        if isinstance(node, SequenceCondition):
            sequence = self.plan.sequences[key] = SequenceLeaf(index, key, node.sequence)
            return sequence
        if isinstance(node, Rfm):
            return self._scores(index, key, node)
        if isinstance(node, Geo):
            return GeoLeaf(index, key, node.geo)
        assert isinstance(node, Percent)
        return PercentLeaf(index, key, node.percent)

    def _looking_at_segments(self, node: Held | InSegment, scope: _Scope) -> PlanLeaf:
        """A leaf that may look at other definitions: one for each set of them."""
        if isinstance(node, InSegment) and node.segment.for_ is None:
            return self._member(node)
        inline = self._known if scope.inline is None else scope.inline
        key = node.key
        if seen := _reachable(node, inline):
            key = b"%b|%b" % (node.key, _digest_of(seen).encode())
        leaf = self.plan.leaves.get(key)
        if leaf is None:
            inner = replace(scope, inline=inline, leaves={})
            if isinstance(node, Held):
                (now, then), for_ms = self._formula(node.held.condition, inner), node.held.for_ms
            else:
                bare = InSegment(segment=node.segment.model_copy(update={"for_": None}))
                (now, then), for_ms = self._formula(bare, inner), node.segment.for_ms or 0
            leaf = HeldLeaf(self._next_index, leaf_id(node), for_ms, list(inner.leaves.values()), now, then)
            self._next_index += 1
            self.plan.leaves[key] = leaf
        if scope.inline is None or self._asked is not None:
            self.plan.leaves[node.key] = leaf
        return leaf

    def _member(self, node: InSegment) -> PlanLeaf:
        key = _encoder.encode(["member", node.segment.id, node.segment.member])
        leaf = self.plan.leaves.get(key)
        if leaf is None:
            leaf = MemberLeaf(self._next_index, leaf_id(node), node.segment.id, member=node.segment.member)
            self._next_index += 1
            self.plan.leaves[key] = leaf
        self.plan.leaves[node.key] = leaf
        return leaf

    def _trait(self, index: int, key: str, node: Trait) -> PlanLeaf:
        operator, operand = node.trait.operator
        if operator in DATES:
            dated = DateLeaf(index, key, node.trait, self.plan.mismatches)
            self._traits |= {dated.root, ZONE_TRAIT}
            self.plan.latest.setdefault(ZONE, 0)
            return dated
        leaf = TraitLeaf(index, parse_path(node.trait.name), operator, operand, self.plan.mismatches)
        self._traits.add(leaf.root)
        return leaf

    def _stated(self, index: int, name: str, operand: object) -> TraitLeaf:
        self._traits.add(name)
        return TraitLeaf(index, ((name, False),), "eq", operand, self.plan.mismatches)

    def _event(self, index: int, key: str, leaf_key: bytes, test: EventTest) -> PlanLeaf:
        aggregate, compared = test.aggregate
        operator, operand = compared.operator
        if aggregate in {"count", "sum"}:
            atom = self._atom(leaf_key, test)
            return EventLeaf(index, Aggregate(index, atom, test.within_ms, operator, operand))
        item = self._item(leaf_key, test, aggregate)
        check: Callable[[Any], bool]
        if aggregate in {"first", "last"}:
            one, mismatches = value_test(operator, operand), self.plan.mismatches
            check = lambda values: satisfied(values, one, None, mismatches)  # noqa: E731
        else:
            check = number_test(operator, _fractions(operand) if aggregate == "avg" else operand)
        item.need(test.within_ms, 0, _greatest(operand) + 1 if aggregate == "distinct" else 1)
        return ValueLeaf(index, key, item, test.within_ms, check)

    def _scores(self, index: int, key: str, node: Rfm) -> ScoreLeaf:
        test = node.rfm
        names = sorted(set(test.event))
        shape = {"names": names, "aggregate": "rfm", "of": test.of}
        item = self._items(_digest(shape), names, (), parse_path(test.of), Scope(None, None), "rfm")
        cuts = self._cuts.get(test.population)
        leaf = ScoreLeaf(index, key, item, test.within_ms, test.scores, test.population, cuts)
        self.plan.scored.setdefault(test.population, leaf)
        return leaf

    def _atom(self, leaf_key: bytes, test: EventTest) -> Atom:
        journal, atom_id = _shape(leaf_key, test)
        if atom_id not in self.plan.atoms:
            filters = [filter_of(item) for item in test.where]
            of = parse_path(test.sum.of) if test.sum else None
            names = sorted(set(test.name))
            self.plan.atoms[atom_id] = Atom(atom_id, journal, names, filters, of, _scope_of(test))
        return self.plan.atoms[atom_id]

    def _item(self, leaf_key: bytes, test: EventTest, aggregate: str) -> ItemAtom:
        _, atom_id = _shape(leaf_key, test)
        of = parse_path(getattr(test, aggregate).of)
        scope = _scope_of(test) or Scope(None, None)
        return self._items(atom_id, sorted(set(test.name)), test.where, of, scope, aggregate)

    def _items(
        self,
        atom_id: str,
        names: list[str],
        where: Iterable[WhereTest],
        of: Any,
        scope: Scope,
        aggregate: str,
    ) -> ItemAtom:
        if atom_id not in self.plan.items:
            filters = [filter_of(item) for item in where]
            self.plan.items[atom_id] = ItemAtom(
                atom_id, _digest(names), names, filters, of, scope, AGGREGATES[aggregate]
            )
        return self.plan.items[atom_id]

    def _require(self, leaf: PlanLeaf, lookback: int) -> None:
        """Have the leaf's state kept so that it can be looked at, and `lookback` ms back."""
        if isinstance(leaf, EventLeaf):
            self._require_count(leaf.aggregate, lookback)
        elif isinstance(leaf, ItemLeaf):
            leaf.atom.need(leaf.window, lookback)
        elif isinstance(leaf, SequenceLeaf):
            leaf.pattern.lookback = max(leaf.pattern.lookback, lookback)
        elif isinstance(leaf, HeldLeaf):
            for inner in leaf.inner:
                self._require(inner, lookback + leaf.for_ms)
        elif isinstance(leaf, GeoLeaf):
            self.plan.latest[LOCATION] = max(self.plan.latest.get(LOCATION, 0), lookback)
        elif isinstance(leaf, TraitLeaf | DateLeaf) and lookback:
            self.plan.lookbacks[leaf.root] = max(self.plan.lookbacks.get(leaf.root, 0), lookback)

    def _require_count(self, aggregate: Aggregate, lookback: int) -> None:
        atom, operand = aggregate.atom, aggregate.operand
        if lookback:
            atom.need((aggregate.window or 0) + lookback, MAX_ITEMS)
        elif aggregate.window is not None:
            atom.need(aggregate.window, MAX_ITEMS if atom.of is not None else _greatest(operand) + 1)
        if self._keep_everything:
            atom.need(None, MAX_ITEMS)

    def _index(self, leaf: PlanLeaf) -> None:
        """Have the published leaf found by what touches it."""
        if isinstance(leaf, EventLeaf):
            leaf.aggregate.atom.watch(leaf.aggregate)
        elif isinstance(leaf, TraitLeaf):
            self.plan.traits.setdefault(leaf.root, TraitIndex()).add(leaf)
        elif isinstance(leaf, MemberLeaf):
            self.plan.referring.setdefault(leaf.segment_id, []).append((leaf.index, leaf.member))
        elif not isinstance(leaf, PercentLeaf):
            self.plan.timed[leaf.id] = leaf
            self._touched_by(leaf, leaf)

    def _touched_by(self, watcher: TimedLeaf, leaf: PlanLeaf) -> None:
        """Have `watcher` looked at whenever something touches `leaf`."""
        if isinstance(leaf, HeldLeaf):
            for inner in leaf.inner:
                self._touched_by(watcher, inner)
            return
        for watchers in self._watchers(leaf):
            if watcher not in watchers:
                watchers.append(watcher)

    def _watchers(self, leaf: PlanLeaf) -> list[list[TimedLeaf]]:
        plan = self.plan
        if isinstance(leaf, EventLeaf):
            return [leaf.aggregate.atom.leaves]
        if isinstance(leaf, ItemLeaf):
            return [leaf.atom.leaves]
        if isinstance(leaf, SequenceLeaf):
            return [leaf.leaves]
        if isinstance(leaf, GeoLeaf):
            return [plan.timed_by_latest.setdefault(LOCATION, [])]
        if isinstance(leaf, TraitLeaf):
            return [plan.timed_by_trait.setdefault(leaf.root, [])]
        if isinstance(leaf, DateLeaf):
            roots = [plan.timed_by_trait.setdefault(root, []) for root in (leaf.root, ZONE_TRAIT)]
            return [*roots, plan.timed_by_latest.setdefault(ZONE, [])]
        return []

    def _by_chance(self, leaves: Iterable[PlanLeaf]) -> bool:
        return any(
            isinstance(leaf, PercentLeaf) or (isinstance(leaf, HeldLeaf) and self._by_chance(leaf.inner))
            for leaf in leaves
        )


def _populations(leaves: Iterable[PlanLeaf]) -> Iterator[str]:
    for leaf in leaves:
        if isinstance(leaf, ScoreLeaf):
            yield leaf.population
        elif isinstance(leaf, HeldLeaf):
            yield from _populations(leaf.inner)


def leaf_id(node: Leaf) -> str:
    """What a customer's deadlines and sequences call the leaf: the same in every plan."""
    return "~" + _digest_bytes(node.key)


def _as_event(node: Message) -> EventTest:
    test = node.message
    where = WhereTest.model_validate({"path": "properties.campaign_id", "eq": test.campaign})
    return EventTest(name=response_events(test.did), where=(where,), within=test.within)


def _scope_of(test: EventTest) -> Scope | None:
    _, compared = test.aggregate
    currency = getattr(compared, "currency", None)
    if test.between is None and currency is None:
        return None
    return Scope(None if test.between is None else test.between.bounds, currency)


def _reachable(node: Condition, known: Mapping[str, SegmentDefinition]) -> dict[str, SegmentDefinition]:
    """The definitions that a condition looks at, and those that they look at."""
    found: dict[str, SegmentDefinition] = {}
    wanted = referenced(node)
    while wanted:
        key = wanted.pop()
        if key not in found and (definition := known.get(key)) is not None:
            found[key] = definition
            wanted |= referenced(definition.when)
    return found


def _fractions(operand: Any) -> Any:
    return tuple(map(Fraction, operand)) if isinstance(operand, tuple) else Fraction(operand)


def _greatest(operand: Any) -> int:
    return int(max(operand) if isinstance(operand, tuple) else operand)


def _never(customer: Customer, now: int) -> bool:
    return False


def _always(customer: Customer, now: int) -> bool:
    return True


def _negated(inner: Formula) -> Formula:
    return lambda customer, now: not inner(customer, now)


def _join(parts: Sequence[Formula], *, every: bool) -> Formula:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        left, right = parts
        if every:
            return lambda customer, now: left(customer, now) and right(customer, now)
        return lambda customer, now: left(customer, now) or right(customer, now)
    join = all if every else any
    return lambda customer, now: join(part(customer, now) for part in parts)


def _shape(leaf_key: bytes, test: EventTest) -> tuple[str, str]:
    """The ids of the journal and of the atom of an event condition: equal for conditions that share them."""
    known = _shapes.get(leaf_key)
    if known is None:
        aggregate, compared = test.aggregate
        names = sorted(set(test.name))
        where = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in test.where]
        shape = {
            "names": names,
            "where": sorted(where, key=_encoder.encode),
            "aggregate": aggregate,
            "of": getattr(compared, "of", None),
            "between": None if test.between is None else test.between.bounds,
            "currency": (getattr(compared, "currency", None) or "").upper(),
        }
        if len(_shapes) >= _KNOWN_SHAPES:
            _shapes.clear()
        known = _shapes[leaf_key] = _digest(names), _digest(shape)
    return known


_shapes: dict[bytes, tuple[str, str]] = {}


def _digest_of(definitions: Mapping[str, SegmentDefinition]) -> str:
    return _digest({key: definition.canonical() for key, definition in definitions.items()})


def _digest(shape: Sequence[Any] | Mapping[str, Any]) -> str:
    return _digest_bytes(_encoder.encode(shape))


@lru_cache(maxsize=_KNOWN_SHAPES)
def _digest_bytes(raw: bytes) -> str:
    return b2a_base64(blake2b(raw, digest_size=9).digest(), newline=False).decode()
