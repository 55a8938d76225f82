"""Who is to be looked at when something touches a customer."""

from services.segmenter.computed import ComputedLeaf
from services.segmenter.held import HeldLeaf
from services.segmenter.latest import LOCATION, ZONE, ZONE_TRAIT
from services.segmenter.leaves import EventLeaf, PlanLeaf, TraitLeaf
from services.segmenter.other_leaves import DateLeaf, GeoLeaf, MemberLeaf, PercentLeaf
from services.segmenter.plan import Plan
from services.segmenter.sequence_leaf import SequenceLeaf
from services.segmenter.timed import TimedLeaf
from services.segmenter.touch_index import TraitIndex
from services.segmenter.value_leaves import ItemLeaf


def index_leaf(plan: Plan, leaf: PlanLeaf) -> None:
    """Have the published leaf found by what touches it."""
    if isinstance(leaf, EventLeaf):
        leaf.aggregate.atom.watch(leaf.aggregate)
    elif isinstance(leaf, TraitLeaf):
        plan.traits.setdefault(leaf.root, TraitIndex()).add(leaf)
    elif isinstance(leaf, MemberLeaf):
        plan.referring.setdefault(leaf.segment_id, []).append((leaf.index, leaf.member))
    elif not isinstance(leaf, PercentLeaf):
        plan.timed[leaf.id] = leaf
        _touched_by(plan, leaf, leaf)


def _touched_by(plan: Plan, watcher: TimedLeaf, leaf: PlanLeaf) -> None:
    """Have `watcher` looked at whenever something touches `leaf`."""
    if isinstance(leaf, HeldLeaf):
        for inner in leaf.inner:
            _touched_by(plan, watcher, inner)
        return
    for watchers in _watchers(plan, leaf):
        if watcher not in watchers:
            watchers.append(watcher)


def _watchers(plan: Plan, leaf: PlanLeaf) -> list[list[TimedLeaf]]:
    if isinstance(leaf, ComputedLeaf):
        return _of_computed(plan, leaf)
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
        return [plan.timed_by_trait.setdefault(leaf.root, []), *_of_zone(plan)]
    return []


def _of_computed(plan: Plan, leaf: ComputedLeaf) -> list[list[TimedLeaf]]:
    known = [] if leaf.figure is None else [leaf.figure.atom.leaves]
    return known if leaf.dated is None else [*known, *_of_zone(plan)]


def _of_zone(plan: Plan) -> list[list[TimedLeaf]]:
    return [plan.timed_by_trait.setdefault(ZONE_TRAIT, []), plan.timed_by_latest.setdefault(ZONE, [])]
