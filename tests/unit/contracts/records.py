"""One real record of every kind, encoded by the types that services use."""

from typing import Any

import msgspec

from headrace.contracts.computed_trait import ComputedTrait, TraitChange, TraitProfile
from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.event import Event
from headrace.contracts.message import MessageOutcome
from headrace.contracts.profile_event import (
    ControlRequest,
    ControlRow,
    ErasureRow,
    EventRow,
    ExternalIdentifier,
    MergeRow,
    ProfileEvent,
    SplitRow,
    Tick,
    TombstoneRow,
    UnmergeRow,
)
from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.segment_change import ChangeProfile, SegmentChange
from headrace.contracts.segment_membership import SegmentMembership

NOW = 1_790_000_000_000
NUMBERS: dict[str, Any] = {"seq": 7, "epoch": 1, "time": NOW, "low": NOW - 10}

EVENT = Event(
    type="track",
    message_id="m1",
    source="web",
    timestamp="2026-09-21T13:33:20.000Z",
    received_at="2026-09-21T13:33:20.100Z",
    user_id="u1",
    event="Order Completed",
    properties=msgspec.Raw(b'{"total":12.50,"products":[{"sku":"a"}]}'),
    context=msgspec.Raw(b'{"locale":"cs-CZ"}'),
    trusted=True,
)
PROFILE_EVENTS: list[ProfileEvent] = [
    EventRow(
        **NUMBERS,
        profile_id="p1",
        source="web",
        message_id="m1",
        type="track",
        ts=NOW,
        event="Order Completed",
        properties=msgspec.Raw(b'{"total":12.50}'),
        traits={"first_name": "Eva", "city": None, "scores": [1, 2.5]},
        consents={"sms": "granted"},
        tags={"vip": True, "list:beta": False},
        user_id="u1",
        external_ids=(ExternalIdentifier("card", "77"),),
        received_at=NOW,
    ),
    TombstoneRow(**NUMBERS, profile_id="p2", into="p1", source="web", message_id="m1"),
    MergeRow(
        **NUMBERS, profile_id="p1", loser="p2", loser_partition=3, loser_seq=6, source="web", message_id="m1"
    ),
    UnmergeRow(
        **NUMBERS,
        profile_id="p1",
        into="p3",
        id="x1",
        source="headrace.api",
        message_id="m3",
        traits={"city": None},
        consents={"sms": None},
    ),
    SplitRow(
        **NUMBERS,
        profile_id="p3",
        origin="p1",
        id="x1",
        source="headrace.api",
        message_id="m3",
        tags={"vip": True},
    ),
    ErasureRow(**NUMBERS, profile_id="p1"),
    ControlRow(**NUMBERS, id="c1", control="activate", payload=msgspec.Raw(b'{"segment_id":"vip","version":3}')),
    Tick(seq=7, epoch=1, low=NOW),
]
SEGMENT_CHANGE = SegmentChange(
    event="Audience Entered",
    message_id="m2",
    user_id="u1",
    anonymous_id=None,
    timestamp="2026-09-21T13:33:20.000Z",
    properties={"audience_key": "vip", "vip": True, "action": "entered", "sequence": 1},
    context={"traits": {"email": "eva@example.com"}},
    profile=ChangeProfile("p1"),
)
COMPUTED_TRAIT = ComputedTrait(
    message_id="c1",
    user_id="u1",
    anonymous_id=None,
    timestamp="2026-09-21T13:33:20.000Z",
    traits={"total_spent": 1250.5},
    context={"personas": {"computation_class": "trait", "computation_key": "total_spent"}},
    profile=TraitProfile("p1"),
    trait=TraitChange(id="total_spent", version=1, reason="event", sequence=7),
)
MEMBERSHIP = SegmentMembership(
    segment_id="vip",
    profile_id="p1",
    version=3,
    entered_at="2026-09-21T13:33:20.000Z",
    entry_id="e1",
    sequence=1,
)
OUTCOME = MessageOutcome(
    message_id="o1",
    id="s1",
    outcome="accepted",
    channel="sms",
    profile_id="p1",
    campaign_id="cart-rescue",
    campaign_version=1,
    entry_id="e1",
    step="0",
    at=NOW,
)
UPDATE = CustomerUpdate(
    message_id="u1",
    profile_id="p1",
    at=NOW,
    event="Points Awarded",
    properties={"points": 50},
    tags={"vip-manual": True},
    consents={"sms": "withdrawn"},
    campaign_id="cart-rescue",
    entry_id="e1",
    step="1",
)
CALLBACK = ProviderCallback(
    id="c1",
    provider="twilio",
    received_at=NOW,
    content_type="application/x-www-form-urlencoded",
    body="MessageStatus=sent",
)
DEAD_LETTER = DeadLetter(
    id="d1",
    reason="invalid_json",
    detail="The body is not JSON.",
    origin_topic="http",
    raw=b"\xff{",
    at=NOW,
    service="ingest",
)
CONTROL = ControlRequest(id="c1", kind="define", payload=msgspec.Raw(b'{"segment_id":"vip"}'), profile_ids=("p1",))

BY_SCHEMA: dict[str, list[msgspec.Struct]] = {
    "event": [EVENT],
    "profile-event": list(PROFILE_EVENTS),
    "segment-change": [SEGMENT_CHANGE],
    "segment-membership": [MEMBERSHIP],
    "computed-trait": [COMPUTED_TRAIT],
    "message-outcome": [OUTCOME, UPDATE],
    "provider-callback": [CALLBACK],
    "dead-letter": [DEAD_LETTER],
    "control-request": [CONTROL],
}
