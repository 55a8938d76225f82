"""A change made up to try a receiver out."""

import msgspec

from headrace.contracts.instant import Millis, format_instant
from headrace.contracts.segment_change import ChangeProfile, SegmentChange

SEGMENT = PROFILE = "webhook-test"


def trial_change(message_id: str, now: Millis) -> bytes:
    """An entry of nobody into a segment that does not exist; `properties.test` tells it from a real one."""
    change = SegmentChange(
        event="Audience Entered",
        message_id=message_id,
        user_id=None,
        anonymous_id=None,
        timestamp=format_instant(now),
        properties={
            "audience_key": SEGMENT,
            SEGMENT: True,
            "segment_id": SEGMENT,
            "segment_name": "Webhook test",
            "segment_version": 1,
            "action": "entered",
            "reason": "event",
            "entry_id": f"e-{message_id}",
            "cause_message_id": None,
            "sequence": 1,
            "test": True,
        },
        context={"traits": {}, "externalIds": []},
        profile=ChangeProfile(PROFILE),
    )
    return msgspec.json.encode(change)
