"""Publishes current membership, `cdp.segment-memberships.v1`: compacted, so only on a log that can do that."""

from collections.abc import Sequence

import msgspec

from headrace.contracts.headers import carried_trace, cloud_event
from headrace.contracts.segment_membership import SegmentMembership
from headrace.log.port import Log, NewRecord
from headrace.runtime.metrics import Metrics
from services.segmenter.change import SOURCE
from services.segmenter.followed import Connection, FollowedChange

_encode = msgspec.json.Encoder().encode


class MembershipTopic:
    """Keeps `followed.Handler`. The records are durable before the follower's position moves; when it does not,
    they are appended again, which changes nothing for who reads the last one of a key. The position's lock is
    held meanwhile: nobody else appends for this partition."""

    def __init__(self, log: Log, topic: str, metrics: Metrics) -> None:
        self._log = log
        self._topic = topic
        self._count = metrics.published.labels(topic)

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        records = [membership_record(change) for change in changes]
        await self._log.append(self._topic, changes[0].partition, records)
        self._count.inc(len(records))

    def committed(self) -> None:
        """Nobody waits for it."""


def membership_record(followed: FollowedChange) -> NewRecord:
    """What the change leaves behind: the membership, or a tombstone."""
    change = followed.change
    properties, profile_id = change.properties, change.profile.id
    value = None
    if properties["action"] == "entered":
        value = _encode(
            SegmentMembership(
                segment_id=properties["segment_id"],
                profile_id=profile_id,
                version=properties["segment_version"],
                entered_at=change.timestamp,
                entry_id=properties["entry_id"],
                sequence=properties["sequence"],
            )
        )
    headers = cloud_event(
        kind="segment.membership.v1",
        event_id=change.message_id,
        source=SOURCE,
        subject=profile_id,
        traceparent=carried_trace(followed.record.headers),
    )
    return NewRecord(f"{properties['segment_id']}/{profile_id}".encode(), value, headers)
