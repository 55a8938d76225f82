"""Compiled definitions: shared atoms, and indexes from what an event touches to the segments it may flip.

Identical (event names, filter, aggregate, path) pieces are one atom per customer, however many segments use
them. Only published versions are evaluated; versions in preparation only have their state kept. compiler.py builds
it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.cut_points import CutPoints
from services.segmenter.atoms import Atom
from services.segmenter.compare import Mismatches
from services.segmenter.computed import ComputedTrait
from services.segmenter.items import ItemAtom
from services.segmenter.leaves import PlanLeaf, Reach, Segment
from services.segmenter.sequence_leaf import SequenceLeaf, StepPiece
from services.segmenter.timed import TimedLeaf
from services.segmenter.touch_index import EventIndex, TraitIndex
from services.segmenter.trait_atoms import TraitAtom
from services.segmenter.value_leaves import ScoreLeaf

ALWAYS_KEPT = frozenset({"email", "phone"})  # every change of a segment carries them

Piece = Atom | ItemAtom | StepPiece


class Plan:
    """What a fold evaluates. Built once per change of definitions; never mutated while in use.

    `windows`: by journal, the longest look back at its events (None: for ever). `lookbacks` and `latest`: by
    trait, and by what the latest event says, how far back one must be able to look. `timed` are the published
    leaves that are looked at as a whole, by what touches them besides their pieces. `reached` (by a leaf's index,
    when it becomes false and when it becomes true) has the published segments only; `referring`, by segment, the
    leaves that are its membership, and `when_new` who may be true of a customer of whom nothing is known.
    `computed` are the published traits by the name of their deadline; in `every_event` all events have a part.
    """

    def __init__(self) -> None:
        self.mismatches = Mismatches()
        self.atoms: dict[str, Atom] = {}
        self.items: dict[str, ItemAtom] = {}
        self.sequences: dict[str, SequenceLeaf] = {}
        self.windows: dict[str, int | None] = {}
        self.events: dict[str, EventIndex[Piece]] = {}
        self.traits: dict[str, TraitIndex] = {}
        self.kept_traits: frozenset[str] = ALWAYS_KEPT
        self.lookbacks: dict[str, int] = {}
        self.latest: dict[str, int] = {}
        self.timed: dict[str, TimedLeaf] = {}
        self.timed_by_trait: dict[str, list[TimedLeaf]] = {}
        self.timed_by_latest: dict[str, list[TimedLeaf]] = {}
        self.segments: dict[str, Segment] = {}
        self.paused: dict[str, Segment] = {}
        self.reached: dict[int, tuple[Reach, Reach]] = {}
        self.referring: dict[str, list[tuple[int, bool]]] = {}
        self.when_new: dict[str, Segment] = {}
        self.scored: dict[str, ScoreLeaf] = {}
        self.by_cuts: list[ScoreLeaf] = []
        self.cuts: Mapping[str, CutPoints] = {}
        self.leaves: dict[bytes, PlanLeaf] = {}
        self.computed: dict[str, ComputedTrait] = {}
        self.every_event: list[ItemAtom] = []

    def cut(self, cuts: Mapping[str, CutPoints]) -> None:
        """Score by these cut points from now on: all that a record of cut points changes of a plan."""
        self.cuts = cuts
        for leaf in self.by_cuts:
            leaf.cut(cuts.get(leaf.population))

    def known(self, segment_id: str) -> Segment | None:
        """The segment, published or paused."""
        return self.segments.get(segment_id) or self.paused.get(segment_id)

    def ordered(self, segment_ids: Iterable[str]) -> list[Segment]:
        """Those of them that are known, each behind all that it asks for."""
        found = [segment for key in set(segment_ids) if (segment := self.known(key)) is not None]
        return sorted(found, key=_place)

    def dependents(self, segment_ids: Iterable[str]) -> set[str]:
        """The segments that ask for one of these, or for one that does."""
        found, wanted = set(segment_ids), set(segment_ids)
        while wanted:
            wanted = {
                segment.id
                for segment in (*self.segments.values(), *self.paused.values())
                if segment.id not in found and not wanted.isdisjoint(segment.asks_for)
            }
            found |= wanted
        return found

    def index(self) -> None:
        """Make the index of events anew, of all pieces; and what the journals must hold."""
        self.events = {}
        atoms: list[Atom | ItemAtom] = [*self.atoms.values(), *self.items.values()]
        for atom in atoms:
            longest = self.windows.get(atom.journal, 0)
            forever = longest is None or atom.window is None
            self.windows[atom.journal] = None if forever else max(longest or 0, atom.window or 0)
        self.every_event = [atom for atom in self.items.values() if isinstance(atom, TraitAtom) and atom.every]
        steps = (step for sequence in self.sequences.values() for step in sequence.steps)
        pieces: list[Piece] = [*atoms, *steps]
        for piece in pieces:
            for name in piece.names:
                if name not in self.events:
                    self.events[name] = EventIndex()
                self.events[name].add(piece)

    def part(self, parts: "Parts") -> "Plan":
        """The same plan, of these parts alone: for folding them anew."""
        plan = Plan()
        plan.atoms = {key: atom for key, atom in self.atoms.items() if atom.journal in parts.journals}
        plan.items = {key: atom for key, atom in self.items.items() if atom.journal in parts.journals}
        plan.sequences = {key: self.sequences[key] for key in parts.sequences}
        plan.kept_traits = parts.traits
        plan.lookbacks = {key: value for key, value in self.lookbacks.items() if key in parts.traits}
        plan.latest = {key: self.latest[key] for key in parts.latest}
        plan.index()
        return plan


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of what a customer keeps under a plan. `names`: the events they are made of (None: of any event)."""

    journals: frozenset[str]
    sequences: frozenset[str]
    traits: frozenset[str]
    latest: frozenset[str]
    names: frozenset[str] | None

    def __bool__(self) -> bool:
        return bool(self.journals or self.sequences or self.traits or self.latest)


NOTHING = Parts(frozenset(), frozenset(), frozenset(), frozenset(), frozenset())


def missing(before: Plan, after: Plan) -> Parts:
    """What `after` needs and `before` did not keep."""
    atoms = _uncovered(before.atoms, after.atoms) + _uncovered(before.items, after.items)
    journals = frozenset(after_atom.journal for after_atom in atoms)
    sequences = frozenset(
        key
        for key, sequence in after.sequences.items()
        if (old := before.sequences.get(key)) is None or old.pattern.lookback < sequence.pattern.lookback
    )
    traits = (after.kept_traits - before.kept_traits) | _further(before.lookbacks, after.lookbacks)
    latest = _further(before.latest, after.latest)
    known: list[Atom | ItemAtom] = [*after.atoms.values(), *after.items.values()]
    pieces = [atom for atom in known if atom.journal in journals]
    names = {name for piece in pieces for name in piece.names}
    names |= {name for key in sequences for name in after.sequences[key].names}
    anything = bool(traits or latest) or any(isinstance(piece, TraitAtom) and piece.every for piece in pieces)
    return Parts(journals, sequences, frozenset(traits), latest, None if anything else frozenset(names))


def _uncovered(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Any]:
    return [
        atom
        for key, atom in after.items()
        if (old := before.get(key)) is None
        or any(_less(had, needed) for had, needed in zip(old.needs, atom.needs, strict=True))
    ]


def _less(had: int | None, needed: int | None) -> bool:
    """None is without end."""
    return had is not None and (needed is None or had < needed)


def _further(before: Mapping[str, int], after: Mapping[str, int]) -> frozenset[str]:
    return frozenset(key for key, far in after.items() if before.get(key, -1) < far)


def _place(segment: Segment) -> tuple[int, str]:
    return segment.rank, segment.id
