"""Value of `cdp.segment-changes.v1`: a superset of Segment's "Audience Entered/Exited" track call."""

from typing import Any, Literal

import msgspec

ChangeAction = Literal["entered", "exited"]
ChangeReason = Literal[
    "event", "trait", "time", "definition", "population", "merge", "unmerge", "import", "erasure", "repair"
]


class ChangeProfile(msgspec.Struct, frozen=True):
    id: str


class SegmentChange(msgspec.Struct, kw_only=True, rename="camel"):
    """A membership transition. Consumers dedupe on `messageId`.

    `properties` holds audience_key, [segment id]: bool, segment_id, segment_name, segment_version, action,
    reason, entry_id, cause_message_id and sequence (rises, not densely, per profile and segment).
    """

    type: Literal["track"] = "track"
    event: Literal["Audience Entered", "Audience Exited"]
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    timestamp: str
    properties: dict[str, Any]
    context: dict[str, Any]
    profile: ChangeProfile
