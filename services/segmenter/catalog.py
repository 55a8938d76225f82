"""The definitions of a partition and how control records change them (DESIGN §4.6)."""

from functools import lru_cache

import msgspec

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.profile_event import ControlRow
from headrace.contracts.segment import SegmentDefinition, parse_segment
from services.segmenter.paths import decode_json


class Version(msgspec.Struct, frozen=True):
    """One version of a segment; `definition` is its canonical JSON text."""

    number: int
    definition: str

    def parse(self) -> SegmentDefinition:
        return _parsed(self.definition)


@lru_cache(maxsize=4_096)
def _parsed(definition: str) -> SegmentDefinition:
    return parse_segment(decode_json(definition.encode()))


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
    """What a control record asks for: bring every customer's membership in line with `version`, which is
    evaluated from now on; `gone` = nobody is a member any more."""

    segment_id: str
    version: Version
    gone: bool = False


class _Payload(msgspec.Struct):
    segment_id: str
    version: int
    definition: msgspec.Raw = msgspec.Raw(b"null")


class Catalog(msgspec.Struct, frozen=True):
    """Every segment's slot by id. Immutable: a control record makes a new one."""

    slots: dict[str, Slot] = {}

    def apply(self, row: ControlRow) -> tuple["Catalog", Sweep | None]:
        """The catalog after the record, and the sweep it asks for. What does not fit (an older version, a
        definition that does not parse) has no effect, on every replay alike."""
        try:
            payload = msgspec.json.decode(row.payload, type=_Payload)
        except msgspec.DecodeError:
            return self, None
        slot = self.slots.get(payload.segment_id)
        if row.control == "define":
            return self._define(payload, slot), None
        if slot is None or payload.version < slot.newest:
            return self, None
        if row.control == "activate":
            return self._activate(payload, slot)
        if row.control == "delete":
            version = slot.live or slot.versions[0]
            return self._with(payload.segment_id, None), Sweep(payload.segment_id, version, gone=True)
        if row.control in {"pause", "resume"}:
            return self._hold(payload, slot, row.control == "pause")
        return self, None

    def pending(self) -> list[tuple[str, Version]]:
        """What is being prepared, in the order of segment ids."""
        return [(key, slot.pending) for key, slot in sorted(self.slots.items()) if slot.pending is not None]

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
            version.parse()
        except InvalidDefinition:
            return self
        slot = Slot() if slot is None else slot
        return self._with(payload.segment_id, msgspec.structs.replace(slot, pending=version, held=False))

    def _activate(self, payload: _Payload, slot: Slot) -> tuple["Catalog", Sweep | None]:
        if slot.pending is None or slot.pending.number != payload.version:
            return self, None
        sweep = None if slot.held else Sweep(payload.segment_id, slot.pending)
        return self._with(payload.segment_id, Slot(live=slot.pending, paused=slot.held)), sweep

    def _hold(self, payload: _Payload, slot: Slot, paused: bool) -> tuple["Catalog", Sweep | None]:
        changed = msgspec.structs.replace(
            slot, paused=paused and slot.live is not None, held=paused and slot.pending is not None
        )
        sweep = None
        if slot.live is not None and slot.paused and not paused:
            sweep = Sweep(payload.segment_id, slot.live)
        return self._with(payload.segment_id, changed), sweep

    def _with(self, segment_id: str, slot: Slot | None) -> "Catalog":
        slots = {key: value for key, value in self.slots.items() if key != segment_id}
        return Catalog(slots if slot is None else {**slots, segment_id: slot})
