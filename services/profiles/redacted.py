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


def redacted_payload(kind: str, payload: str) -> str:
    """Of a row that is no event. Raises KeyError for a kind that has no person."""
    shape = _KINDS[kind]
    said = msgspec.json.decode(payload, type=dict[str, Any])
    row: ProfileRow = shape(**_NUMBERS, **{name: said[name] for name in _LEFT[shape]})
    return encode_payload(row)
