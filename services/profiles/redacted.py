"""What is left of a row of the timeline when the person is erased, or the row is too old to be kept (pure).

Its place, its kind and what connects it with other rows: replays go on. Nothing that a customer said or did.
"""

from typing import Any

import msgspec

from headrace.contracts.profile_event import (
    ErasureRow,
    EventRow,
    MergeRow,
    ProfileRow,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
)
from services.profiles.sequence import encode_payload

_NUMBERS: dict[str, Any] = {"seq": 0, "epoch": 0, "time": 0, "low": 0}
_LEFT: dict[type, tuple[str, ...]] = {
    MergeRow: ("profile_id", "loser", "loser_partition", "loser_seq", "source", "message_id"),
    TombstoneRow: ("profile_id", "into", "source", "message_id"),
    UnmergeRow: ("profile_id", "into", "id", "source", "message_id"),
    SplitRow: ("profile_id", "origin", "id", "source", "message_id"),
    ErasureRow: ("profile_id",),
}
_KINDS: dict[str, type] = {
    "merge": MergeRow,
    "tombstone": TombstoneRow,
    "unmerge": UnmergeRow,
    "split": SplitRow,
    "erasure": ErasureRow,
}


class _Zone(msgspec.Struct):
    timezone: str | None = None


def _zone(context: msgspec.Raw) -> str | None:
    """Where the customer was: local times are told by it."""
    try:
        return msgspec.json.decode(context, type=_Zone).timezone
    except (msgspec.DecodeError, RecursionError):
        return None


def redacted_event(profile_id: str, source: str | None, message_id: str | None, ts: int | None) -> str:
    """The payload of an event's row, whatever it was."""
    row = EventRow(
        **_NUMBERS,
        profile_id=profile_id,
        source=source or "",
        message_id=message_id or "",
        type="track",
        ts=ts or 0,
    )
    return encode_payload(row)


def faded_event(payload: str) -> str | None:
    """The payload of an event's row without what it said; who it was, when, and what it changed of the customer
    stay. None when there is nothing to take out."""
    said = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    zone = _zone(said.get("context", msgspec.Raw(b"{}")))
    left = {name: value for name, value in said.items() if name not in ("properties", "context")}
    if zone is not None:
        left["context"] = msgspec.Raw(msgspec.json.encode({"timezone": zone}))
    return None if left == said else msgspec.json.encode(left).decode()


def redacted_payload(kind: str, payload: str) -> str:
    """Of a row that is no event. Raises KeyError for a kind that has no person."""
    shape = _KINDS[kind]
    said = msgspec.json.decode(payload, type=dict[str, Any])
    row: ProfileRow = shape(**_NUMBERS, **{name: said[name] for name in _LEFT[shape]})
    return encode_payload(row)
