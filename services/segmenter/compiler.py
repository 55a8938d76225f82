"""From definitions to a plan (plan.py)."""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment import Definition, SegmentDefinition
from headrace.contracts.segment_conditions import (
    All,
    AnyOf,
    Condition,
    Held,
    InSegment,
    Leaf,
    Not,
    Trait,
    children,
    referenced,
)
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_references import computed_id, computed_in
from services.segmenter.computed import ComputedLeaf, ComputedTrait
from services.segmenter.customer import Customer
from services.segmenter.held import HeldLeaf
from services.segmenter.leaf_maker import LeafMaker
from services.segmenter.leaves import Formula, PlanLeaf, Segment, reach
from services.segmenter.other_leaves import MemberLeaf, PercentLeaf
from services.segmenter.plan import Plan
from services.segmenter.shapes import digest, leaf_id
from services.segmenter.trait_atoms import TraitAtom
from services.segmenter.value_leaves import ScoreLeaf
from services.segmenter.watching import index_leaf

AnyDefinition = Definition | TraitDefinition
_Versioned = tuple[SegmentDefinition, int, str]  # with its version and the id of its definition

_encoder = msgspec.json.Encoder(order="deterministic")
_NOBODY = Customer()


def compile_plan(
    published: Iterable[tuple[AnyDefinition, int]],
    paused: Iterable[tuple[AnyDefinition, int]] = (),
    prepared: Iterable[AnyDefinition] = (),
    *,
    cuts: Mapping[str, CutPoints] | None = None,
    keep_everything: bool = False,
    asked: Mapping[str, SegmentDefinition] | None = None,
    traits: Mapping[str, TraitDefinition] | None = None,
) -> Plan:
    """A plan that evaluates `published` and keeps the state of `paused` and `prepared` as well.

    `keep_everything` keeps up to 10,000 events of every atom whatever the windows: for explanations. `asked`: the
    definitions that `segment` conditions ask for are evaluated in place, of these; by default membership answers.
    `traits`: computed traits that conditions look at besides the published ones.
    """
    live, on_hold, new = [*published], [*paused], [*prepared]
    known = {**(traits or {}), **{of.id: of for of, _ in live if isinstance(of, TraitDefinition)}}
    builder = _Builder(cuts or {}, known, keep_everything=keep_everything, asked=asked)
    builder.know(_parts(live), _parts(on_hold))
    for of, version in live:
        if isinstance(of, TraitDefinition):
            builder.publish_trait(of, version)
    for part in _parts(live):
        builder.publish(*part)
    for part in _parts(on_hold):
        builder.pause(*part)
    segments = [segment for of in new for segment in of.segments()]
    builder.prepare(segments)
    builder.prepare_traits([of for of in new if isinstance(of, TraitDefinition)], segments)
    return builder.finish()


def _parts(definitions: Iterable[tuple[AnyDefinition, int]]) -> list[_Versioned]:
    """Every segment that these define."""
    return [(segment, version, of.id) for of, version in definitions for segment in of.segments()]


@dataclass(frozen=True)
class _Scope:
    """Where in a definition a condition stands: how far back it is looked at, and whose definitions count for
    `segment` conditions that are evaluated in place (None: membership answers). `inside` of what must have held.
    `leaves` collects. `traits` are the computed ones that count, when they are not those that are published."""

    lookback: int = 0
    inline: Mapping[str, SegmentDefinition] | None = None
    within: tuple[str, ...] = ()
    inside: bool = False
    leaves: dict[int, PlanLeaf] = field(default_factory=dict)
    traits: Mapping[str, TraitDefinition] | None = None


_Pair = tuple[Formula, Formula]  # at present, and looking back


class _Builder:
    def __init__(
        self,
        cuts: Mapping[str, CutPoints],
        traits: Mapping[str, TraitDefinition],
        *,
        keep_everything: bool,
        asked: Mapping[str, SegmentDefinition] | None,
    ) -> None:
        self.plan = Plan()
        self.plan.cuts = cuts
        self._keep_everything = keep_everything
        self._asked = asked
        self._traits = traits
        self._known: dict[str, SegmentDefinition] = {}
        self._paused: set[str] = set()
        self._ranks: dict[str, int] = {}
        self._next_index = 0
        self._published: dict[int, list[Segment]] = {}
        self._maker = LeafMaker(self.plan, cuts, keep_everything=keep_everything)

    def know(self, live: Iterable[_Versioned], paused: Iterable[_Versioned]) -> None:
        on_hold = {segment.id: segment for segment, _, _ in paused}
        self._known = {**on_hold, **{segment.id: segment for segment, _, _ in live}}
        self._paused = {*on_hold}

    def publish_trait(self, definition: TraitDefinition, version: int) -> None:
        figure = self._maker.figure(definition.figure)
        trait = ComputedTrait(definition.id, version, figure)
        self.plan.computed[trait.due] = trait
        assert isinstance(figure.atom, TraitAtom), "made for a trait"
        figure.atom.traits.append(trait)

    def publish(self, definition: SegmentDefinition, version: int, slot: str) -> None:
        segment = self._segment(definition, version, slot)
        self.plan.segments[segment.id] = segment
        for leaf in segment.leaves:
            if leaf.index not in self._published:
                self._published[leaf.index] = []
                index_leaf(self.plan, leaf)
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

    def prepare_traits(self, traits: Iterable[TraitDefinition], segments: Sequence[SegmentDefinition]) -> None:
        """Keep the state of these traits, and of what looks back at them, once they are live."""
        for trait in traits:
            self._maker.figure(trait.figure)
            for other in (*self._known.values(), *segments):
                inline = self._with(other)
                if trait.id in _computed(other.when, inline):
                    scope = replace(self._scope(inline), traits=ChainMap({trait.id: trait}, {**self._traits}))
                    self._formula(other.when, scope)

    def _with(self, *definitions: SegmentDefinition) -> Mapping[str, SegmentDefinition]:
        if not any(referenced(definition.when) for definition in definitions):
            return self._known
        return ChainMap({definition.id: definition for definition in definitions}, self._known)

    def finish(self) -> Plan:
        """The plan; what a journal keeps follows from its atoms."""
        plan = self.plan
        plan.kept_traits = frozenset(self._maker.traits)
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
            computed=frozenset(computed_in(definition.when)),
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
        self._maker.require(leaf, scope.lookback)
        scope.leaves[leaf.index] = leaf
        if scope.inside and isinstance(leaf, HeldLeaf):
            return leaf.truth_inside, leaf.past
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
        if isinstance(node, Trait) and (asked := computed_id(node.trait.name)) is not None:
            return self._computed_leaf(node, asked, scope)
        leaf = self.plan.leaves.get(node.key)
        if leaf is None:
            leaf = self.plan.leaves[node.key] = self._maker.make(self._index(), node)
        return leaf

    def _computed_leaf(self, node: Trait, asked: str, scope: _Scope) -> PlanLeaf:
        """A condition on a computed trait: one leaf for each definition of that."""
        trait = (self._traits if scope.traits is None else scope.traits).get(asked)
        key = node.key if trait is None else b"%b|%b" % (node.key, _digest_of({asked: trait}).encode())
        leaf = self.plan.leaves.get(key)
        if leaf is None or not isinstance(leaf, ComputedLeaf) or (leaf.figure is None) is not (trait is None):
            leaf = self.plan.leaves[key] = self._maker.computed(self._index(), node, trait)
        if scope.traits is None:
            self.plan.leaves[node.key] = leaf
        return leaf

    def _index(self) -> int:
        self._next_index += 1
        return self._next_index - 1

    def _looking_at_segments(self, node: Held | InSegment, scope: _Scope) -> PlanLeaf:
        """A leaf that may look at other definitions: one for each set of them."""
        if isinstance(node, InSegment) and node.segment.for_ is None:
            return self._member(node)
        inline = self._known if scope.inline is None else scope.inline
        key = node.key
        looked_at: dict[str, SegmentDefinition | TraitDefinition] = {**_reachable(node, inline)}
        traits = self._traits if scope.traits is None else scope.traits
        looked_at |= {one.slot: one for asked in _computed(node, inline) if (one := traits.get(asked)) is not None}
        if looked_at:
            key = b"%b|%b" % (node.key, _digest_of(looked_at).encode())
        leaf = self.plan.leaves.get(key)
        if leaf is None:
            inner = replace(scope, inline=inline, leaves={}, inside=True)
            if isinstance(node, Held):
                (now, then), for_ms = self._formula(node.held.condition, inner), node.held.for_ms
            else:
                bare = InSegment(segment=node.segment.model_copy(update={"for_": None}))
                (now, then), for_ms = self._formula(bare, inner), node.segment.for_ms or 0
            leaf = HeldLeaf(self._index(), leaf_id(node), for_ms, list(inner.leaves.values()), now, then)
            self.plan.leaves[key] = leaf
        if scope.traits is None and (scope.inline is None or self._asked is not None):
            self.plan.leaves[node.key] = leaf
        return leaf

    def _member(self, node: InSegment) -> PlanLeaf:
        key = _encoder.encode(["member", node.segment.id, node.segment.member])
        leaf = self.plan.leaves.get(key)
        if leaf is None:
            leaf = MemberLeaf(self._index(), leaf_id(node), node.segment.id, member=node.segment.member)
            self.plan.leaves[key] = leaf
        self.plan.leaves[node.key] = leaf
        return leaf

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


def _computed(node: Condition, known: Mapping[str, SegmentDefinition]) -> set[str]:
    """The computed traits that a condition asks for, itself or through the definitions that it looks at."""
    found = computed_in(node)
    for definition in _reachable(node, known).values():
        found |= computed_in(definition.when)
    return found


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


def _digest_of(definitions: Mapping[str, SegmentDefinition | TraitDefinition]) -> str:
    return digest({key: definition.canonical() for key, definition in definitions.items()})
