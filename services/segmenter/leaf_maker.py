"""From a condition at the leaf of a definition to what a plan evaluates."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headrace.contracts.cut_points import CutPoints
from headrace.contracts.segment_conditions import (
    Consent,
    EventCondition,
    Geo,
    Leaf,
    Message,
    Percent,
    Rfm,
    Sequence,
    Tagged,
    Trait,
    response_events,
)
from headrace.contracts.segment_tests import EventTest, WhereTest
from headrace.contracts.trait import TraitDefinition
from headrace.contracts.trait_figures import EventFigure, SessionFigure
from services.segmenter.aggregates import AGGREGATES
from services.segmenter.atoms import Aggregate, Atom
from services.segmenter.compare import mean_test, number_test, satisfied, value_test
from services.segmenter.computed import ComputedLeaf, FigureLeaf
from services.segmenter.customer import CONSENT, TAG
from services.segmenter.filters import filter_of
from services.segmenter.held import HeldLeaf
from services.segmenter.items import MAX_ITEMS, MAX_LOOKED_BACK, ItemAtom, Scope
from services.segmenter.latest import LOCATION, ZONE, ZONE_TRAIT
from services.segmenter.leaves import EventLeaf, PlanLeaf, TraitLeaf
from services.segmenter.other_leaves import DATES, DateLeaf, GeoLeaf, PercentLeaf
from services.segmenter.paths import Steps, parse_path
from services.segmenter.plan import ALWAYS_KEPT, Plan
from services.segmenter.sequence_leaf import SequenceLeaf
from services.segmenter.shapes import digest, leaf_id, shape_of
from services.segmenter.trait_atoms import event_atom, reading_of, session_atom
from services.segmenter.value_leaves import ItemLeaf, ScoreLeaf, ValueLeaf


class LeafMaker:
    """Makes leaves with their atoms in a plan, and says what is to be kept for them. `traits` are those that
    somebody reads."""

    def __init__(self, plan: Plan, cuts: Mapping[str, CutPoints], *, keep_everything: bool) -> None:
        self.plan = plan
        self.traits = set(ALWAYS_KEPT)
        self._cuts = cuts
        self._keep_everything = keep_everything

    def make(self, index: int, node: Leaf) -> PlanLeaf:
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
        if isinstance(node, Sequence):
            sequence = self.plan.sequences[key] = SequenceLeaf(index, key, node.sequence)
            return sequence
        if isinstance(node, Rfm):
            return self._scores(index, key, node)
        if isinstance(node, Geo):
            return GeoLeaf(index, key, node.geo)
        assert isinstance(node, Percent)
        return PercentLeaf(index, key, node.percent)

    def figure(self, value: EventFigure | SessionFigure) -> FigureLeaf:
        """The value of a computed trait, whose state is kept from now on."""
        made = session_atom(value) if isinstance(value, SessionFigure) else event_atom(value)
        atom = self.plan.items.setdefault(made.id, made)
        atom.need(value.within_ms, 0, MAX_ITEMS)
        return FigureLeaf(atom, value.within_ms, reading_of(value))

    def computed(self, index: int, node: Trait, trait: TraitDefinition | None) -> ComputedLeaf:
        """A condition on a computed trait of this definition (None: there is none)."""
        figure = None if trait is None else self.figure(trait.figure)
        leaf = ComputedLeaf(index, leaf_id(node), node.trait, figure, self.plan.mismatches)
        if leaf.dated is not None:
            self.traits.add(ZONE_TRAIT)
            self.plan.latest.setdefault(ZONE, 0)
        return leaf

    def _trait(self, index: int, key: str, node: Trait) -> PlanLeaf:
        operator, operand = node.trait.operator
        if operator in DATES:
            dated = DateLeaf(index, key, node.trait, self.plan.mismatches)
            self.traits |= {dated.root, ZONE_TRAIT}
            self.plan.latest.setdefault(ZONE, 0)
            return dated
        leaf = TraitLeaf(index, parse_path(node.trait.name), operator, operand, self.plan.mismatches)
        self.traits.add(leaf.root)
        return leaf

    def _stated(self, index: int, name: str, operand: object) -> TraitLeaf:
        self.traits.add(name)
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
            check = (mean_test if aggregate == "avg" else number_test)(operator, operand)
        item.need(test.within_ms, 0, _greatest(operand) + 1 if aggregate == "distinct" else 1)
        return ValueLeaf(index, key, item, test.within_ms, check)

    def _scores(self, index: int, key: str, node: Rfm) -> ScoreLeaf:
        test = node.rfm
        names = sorted(set(test.event))
        shape = {"names": names, "aggregate": "rfm", "of": test.of}
        item = self._items(digest(shape), names, (), parse_path(test.of), Scope(None, None), "rfm")
        cuts = self._cuts.get(test.population)
        leaf = ScoreLeaf(index, key, item, test.within_ms, test.scores, test.population, cuts)
        self.plan.scored.setdefault(test.population, leaf)
        self.plan.by_cuts.append(leaf)
        return leaf

    def _atom(self, leaf_key: bytes, test: EventTest) -> Atom:
        journal, atom_id = shape_of(leaf_key, test)
        if atom_id not in self.plan.atoms:
            filters = [filter_of(item) for item in test.where]
            of = parse_path(test.sum.of) if test.sum else None
            names = sorted(set(test.name))
            self.plan.atoms[atom_id] = Atom(atom_id, journal, names, filters, of, _scope_of(test))
        return self.plan.atoms[atom_id]

    def _item(self, leaf_key: bytes, test: EventTest, aggregate: str) -> ItemAtom:
        _, atom_id = shape_of(leaf_key, test)
        of = parse_path(getattr(test, aggregate).of)
        scope = _scope_of(test) or Scope(None, None)
        return self._items(atom_id, sorted(set(test.name)), test.where, of, scope, aggregate)

    def _items(
        self,
        atom_id: str,
        names: list[str],
        where: Iterable[WhereTest],
        of: Steps,
        scope: Scope,
        aggregate: str,
    ) -> ItemAtom:
        if atom_id not in self.plan.items:
            filters = [filter_of(item) for item in where]
            self.plan.items[atom_id] = ItemAtom(
                atom_id, digest(names), names, filters, of, scope, AGGREGATES[aggregate]
            )
        return self.plan.items[atom_id]

    def require(self, leaf: PlanLeaf, lookback: int) -> None:
        """Have the leaf's state kept so that it can be looked at, and `lookback` ms back."""
        if isinstance(leaf, EventLeaf):
            self._require_count(leaf.aggregate, lookback)
        elif isinstance(leaf, ItemLeaf):
            leaf.atom.need(leaf.window, lookback)
        elif isinstance(leaf, ComputedLeaf):
            if leaf.figure is not None:
                leaf.figure.atom.need(leaf.figure.window, lookback, MAX_ITEMS)
        elif isinstance(leaf, SequenceLeaf):
            leaf.pattern.lookback = max(leaf.pattern.lookback, lookback)
        elif isinstance(leaf, HeldLeaf):
            for inner in leaf.inner:
                self.require(inner, lookback + leaf.for_ms)
        elif isinstance(leaf, GeoLeaf):
            self.plan.latest[LOCATION] = max(self.plan.latest.get(LOCATION, 0), lookback)
        elif isinstance(leaf, TraitLeaf | DateLeaf) and lookback:
            self.plan.lookbacks[leaf.root] = max(self.plan.lookbacks.get(leaf.root, 0), lookback)

    def _require_count(self, aggregate: Aggregate, lookback: int) -> None:
        atom, operand = aggregate.atom, aggregate.operand
        if lookback:
            atom.need((aggregate.window or 0) + lookback, MAX_LOOKED_BACK)
        elif aggregate.window is not None:
            atom.need(aggregate.window, MAX_ITEMS if atom.of is not None else _greatest(operand) + 1)
        if self._keep_everything:
            atom.need(None, MAX_ITEMS)


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


def _greatest(operand: Any) -> int:
    return int(max(operand) if isinstance(operand, tuple) else operand)
