"""Rows written by hand, for tests that say exactly what happens when."""

from typing import Any

import msgspec

from headrace.contracts.profile_event import ControlRow, EventRow, MergeRow, SplitRow, TombstoneRow, UnmergeRow
from headrace.contracts.segment import parse_segment
from services.segmenter.compiler import compile_plan
from services.segmenter.fold import Clock, Fold
from services.segmenter.plan import Plan


def plan(**conditions: Any) -> Plan:
    """A plan of published segments: id (with `_` for `-`) → condition."""
    definitions = [
        parse_segment({"kind": "segment", "id": key.replace("_", "-"), "name": key, "when": when})
        for key, when in conditions.items()
    ]
    return compile_plan([(definition, 1) for definition in definitions])


def fold(compiled: Plan) -> Fold:
    return Fold(compiled, {}, Clock())


def event(seq: int, profile: str, name: str = "A", *, at: int, low: int | None = None, **fields: Any) -> EventRow:
    properties = fields.pop("properties", {})
    return EventRow(
        seq=seq,
        epoch=1,
        time=fields.pop("time", at),
        low=at if low is None else low,
        profile_id=profile,
        source="web",
        message_id=fields.pop("message_id", f"m{seq}"),
        type=fields.pop("type", "track"),
        ts=fields.pop("ts", at),
        event=name,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
        **fields,
    )


def apply(target: Fold, *rows: EventRow) -> None:
    for row in rows:
        assert target.advance(row.low)
        target.apply(row)


def control(seq: int, kind: str, segment_id: str, version: int = 1, *, at: int, when: Any = None) -> ControlRow:
    payload: dict[str, Any] = {"segment_id": segment_id, "version": version}
    if when is not None:
        payload["definition"] = {"kind": "segment", "id": segment_id, "name": segment_id, "when": when}
    return ControlRow(
        seq=seq,
        epoch=1,
        time=at,
        low=at,
        id=f"c{seq}",
        control=kind,
        payload=msgspec.Raw(msgspec.json.encode(payload)),
    )


def merge(seq: int, winner: str, loser: str, *, loser_partition: int, loser_seq: int, at: int) -> MergeRow:
    return MergeRow(
        seq=seq,
        epoch=1,
        time=at,
        low=at,
        profile_id=winner,
        loser=loser,
        loser_partition=loser_partition,
        loser_seq=loser_seq,
        source="web",
        message_id="link",
    )


def tombstone(seq: int, loser: str, winner: str, *, at: int) -> TombstoneRow:
    return TombstoneRow(
        seq=seq, epoch=1, time=at, low=at, profile_id=loser, into=winner, source="web", message_id="link"
    )


def unmerge(seq: int, old: str, new: str, *, at: int, **fields: Any) -> UnmergeRow:
    """The rows that have gone are those of unmerge `new`."""
    cause: dict[str, Any] = {"id": new, "source": "api", "message_id": f"part-{new}"}
    return UnmergeRow(seq=seq, epoch=1, time=at, low=at, profile_id=old, into=new, **cause, **fields)


def split(seq: int, new: str, old: str, *, at: int, **fields: Any) -> SplitRow:
    cause: dict[str, Any] = {"id": new, "source": "api", "message_id": f"part-{new}"}
    return SplitRow(seq=seq, epoch=1, time=at, low=at, profile_id=new, origin=old, **cause, **fields)


def story(target: Fold) -> list[tuple[str, str, str, str, int]]:
    """(profile, segment, action, reason, instant) of every transition, in order."""
    return [(t.profile_id, t.segment_id, t.action, t.reason, t.at) for t in target.transitions]
