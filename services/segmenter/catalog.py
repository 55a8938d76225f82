"""The definitions of a partition and how control records change them (DESIGN §4.6)."""

from collections.abc import Container
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import msgspec

from headrace.contracts.cut_points import CONTROL as CUT_POINTS
from headrace.contracts.cut_points import CutPoints
from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.profile_event import ControlRow
from headrace.contracts.segment import Definition, SegmentDefinition, parse_segment
from headrace.contracts.segment_change import ChangeReason
from headrace.contracts.trait import SLOT, TraitDefinition, parse_trait
from services.segmenter.paths import decode_json


class Version(msgspec.Struct, frozen=True):
    """One version of a definition: of a segment, a list, stages or a trait; `definition` is its canonical JSON
    text."""

    number: int
    definition: str

    def parse(self) -> Definition:
        """Of a segment, a list or stages."""
        definition = self.read()
        assert not isinstance(definition, TraitDefinition), "asked of segments only"
        return definition

    def read(self) -> Definition | TraitDefinition:
        return _parsed(self.definition)

    @property
    def trait(self) -> str | None:
        """The computed trait that it defines."""
        definition = self.read()
        return definition.id if isinstance(definition, TraitDefinition) else None

    def names(self) -> dict[str, str]:
        """The segments that it defines, by id."""
        return {segment.id: segment.name for segment in self.read().segments()}


@lru_cache(maxsize=16_384)
def _parsed(definition: str) -> Definition | TraitDefinition:
    document = decode_json(definition.encode())
    if isinstance(document, dict) and document.get("kind") == "trait":
        return parse_trait(document)
    return parse_segment(document)


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment: the version that publishes, and the one being prepared beside it. `held`: whoever paused the
    segment did so after the pending version was defined, which therefore stays paused when it is activated."""

    live: Version | None = None
    pending: Version | None = None
    paused: bool = False
    held: bool = False

    @property
    def versions(self) -> tuple[Version, ...]:
        return tuple(version for version in (self.live, self.pending) if version is not None)

    @property
    def newest(self) -> int:
        return max(version.number for version in self.versions)


class Sweep(msgspec.Struct, frozen=True):
    """What a control record asks for: bring every customer's membership in `segments`, and in whatever asks for
    them, in line with the plan after the record. Nobody is a member of what is `gone` (name and version by id) any
    more. `stale`: a version was replaced, what only it needed is forgotten. Of new cut points, `population` says
    for whom; `cuts` are the ones before and after. `traits`: publish everybody's value of these computed traits;
    nobody has one any more of those in `gone_traits` (by id, the version)."""

    segments: frozenset[str]
    gone: dict[str, tuple[str, int]] = {}
    stale: bool = False
    reason: ChangeReason = "definition"
    population: str = ""
    cuts: tuple[CutPoints | None, CutPoints] | None = None
    traits: frozenset[str] = frozenset()
    gone_traits: dict[str, int] = {}


class _Payload(msgspec.Struct):
    segment_id: str
    version: int
    definition: msgspec.Raw = msgspec.Raw(b"null")


class Catalog(msgspec.Struct, frozen=True):
    """Every definition's slot by id, and the cut points by population. Immutable: a control record makes a new
    one."""

    slots: dict[str, Slot] = {}
    cuts: dict[str, CutPoints] = {}

    def apply(self, row: ControlRow) -> tuple["Catalog", Sweep | None]:
        """The catalog after the record, and the sweep it asks for. What does not fit (an older version, a
        definition that does not parse) has no effect, on every replay alike."""
        if row.control == CUT_POINTS:
            return self._cut(row)
        try:
            payload = msgspec.json.decode(row.payload, type=_Payload)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return self, None
        slot = self.slots.get(payload.segment_id)
        if row.control == "define":
            return self._define(payload, slot), None
        if slot is None or payload.version < slot.newest:
            return self, None
        if payload.segment_id.startswith(SLOT) and row.control in {"pause", "resume"}:
            return self, None  # a value is computed or there is none
        if row.control == "activate":
            return self._activate(payload, slot)
        if row.control == "delete":
            gone = {} if slot.live is None else _gone(slot.live)
            lost = {} if slot.live is None else _gone_trait(slot.live)
            after = self._with(payload.segment_id, None)
            return after, Sweep(frozenset(), gone, stale=True, gone_traits=lost)
        if row.control in {"pause", "resume"}:
            return self._hold(payload, slot, row.control == "pause")
        return self, None

    def pending(self) -> list[tuple[str, Version]]:
        """What is being prepared, in the order of segment ids."""
        return [(key, slot.pending) for key, slot in sorted(self.slots.items()) if slot.pending is not None]

    def without_pending(self, segment_ids: Container[str]) -> "Catalog":
        """The same without these versions in preparation."""
        slots = {
            key: msgspec.structs.replace(slot, pending=None) if key in segment_ids else slot
            for key, slot in self.slots.items()
        }
        return Catalog(slots, self.cuts)

    def slot_of(self, segment_id: str) -> Slot | None:
        """The slot whose live version defines this segment: its own, or that of the stages it is one of."""
        own = self.slots.get(segment_id)
        if own is not None:
            return own
        for slot in self.slots.values():
            if slot.live is not None and segment_id in slot.live.names():
                return slot
        return None

    def definitions(self) -> dict[str, SegmentDefinition]:
        """The live definition of every segment, by id."""
        live = (slot.live for slot in self.slots.values() if slot.live is not None)
        return {segment.id: segment for version in live for segment in version.read().segments()}

    def traits(self) -> dict[str, TraitDefinition]:
        """The live definition of every computed trait, by id."""
        live = (slot.live for key, slot in self.slots.items() if key.startswith(SLOT) and slot.live is not None)
        parsed = [version.read() for version in live]
        return {definition.id: definition for definition in parsed if isinstance(definition, TraitDefinition)}

    def publishing(self) -> list[tuple[str, Version]]:
        """The versions that are evaluated and published."""
        found = sorted(self.slots.items())
        return [(key, slot.live) for key, slot in found if slot.live is not None and not slot.paused]

    def paused(self) -> list[tuple[str, Version]]:
        """The versions whose members stay as they are until somebody resumes the segment."""
        found = sorted(self.slots.items())
        return [(key, slot.live) for key, slot in found if slot.live is not None and slot.paused]

    def _define(self, payload: _Payload, slot: Slot | None) -> "Catalog":
        if slot is not None and payload.version <= slot.newest:
            return self
        version = Version(payload.version, bytes(payload.definition).decode())
        try:
            trait = version.trait
        except InvalidDefinition:
            return self
        if payload.segment_id.startswith(SLOT) != (trait is not None):
            return self
        slot = Slot() if slot is None else slot
        return self._with(payload.segment_id, msgspec.structs.replace(slot, pending=version, held=False))

    def _activate(self, payload: _Payload, slot: Slot) -> tuple["Catalog", Sweep | None]:
        if slot.pending is None or slot.pending.number != payload.version:
            return self, None
        after = self._with(payload.segment_id, Slot(live=slot.pending, paused=slot.held))
        names = slot.pending.names()
        gone = {} if slot.live is None else {k: v for k, v in _gone(slot.live).items() if k not in names}
        if slot.held and not gone:
            return after, None
        segments = frozenset() if slot.held else frozenset(names)
        traits = frozenset() if slot.pending.trait is None else frozenset({slot.pending.trait})
        return after, Sweep(segments, gone, stale=slot.live is not None, traits=traits)

    def _hold(self, payload: _Payload, slot: Slot, paused: bool) -> tuple["Catalog", Sweep | None]:
        changed = msgspec.structs.replace(
            slot, paused=paused and slot.live is not None, held=paused and slot.pending is not None
        )
        sweep = None
        if slot.live is not None and slot.paused is not paused:
            # whoever looks back at its membership sees another one now
            sweep = Sweep(frozenset(slot.live.names()))
        return self._with(payload.segment_id, changed), sweep

    def _cut(self, row: ControlRow) -> tuple["Catalog", Sweep | None]:
        try:
            cuts = msgspec.json.decode(row.payload, type=CutPoints)
            exact = all(Decimal(cut).is_finite() for cut in cuts.monetary)
        except (msgspec.DecodeError, RecursionError, UnicodeError, InvalidOperation):
            exact = False
        if not exact:
            return self, None
        before = self.cuts.get(cuts.population)
        if before is not None and before.version >= cuts.version:
            return self, None
        after = Catalog(self.slots, {**self.cuts, cuts.population: cuts})
        sweep = Sweep(frozenset(), reason="population", population=cuts.population, cuts=(before, cuts))
        return after, sweep

    def _with(self, segment_id: str, slot: Slot | None) -> "Catalog":
        slots = {key: value for key, value in self.slots.items() if key != segment_id}
        return Catalog(slots if slot is None else {**slots, segment_id: slot}, self.cuts)


def _gone(version: Version) -> dict[str, tuple[str, int]]:
    return {key: (name, version.number) for key, name in version.names().items()}


def _gone_trait(version: Version) -> dict[str, int]:
    return {} if version.trait is None else {version.trait: version.number}
