"""Who enters which campaign: by a segment change, an event, or a run for an audience. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from headrace.contracts.campaign import CampaignDefinition, EventTrigger, SegmentTrigger
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis, parse_instant
from headrace.contracts.profile_event import EventRow
from headrace.contracts.segment_change import SegmentChange
from services.messenger.advance import held_out

# Reasons by which a customer's own doing, or time, let them in. History (import), repairs and the moves of a
# merge or an erasure never send (DESIGN §4.5, §7).
_OWN_DOING = frozenset({"event", "trait", "time", "population"})
_COMPUTED = "computed."
_MAX_EVENT_BYTES = 32 * 1024

TriggerKind = Literal["segment", "event", "schedule", "direct"]


@dataclass(frozen=True, slots=True)
class Start:
    """An entry into a campaign, as the same cause always gives it. `key`: of a keyed journey; `event` what its
    templates may show of the event that caused it, with `row_seq`, its number; `computed` are the computed traits
    that came with the change. `refused`: why it never begins, where that is known already. `received_at`: when
    the event that caused it was received; 0 without one. `known_at`: since when the log, or the schedule, had the
    cause: before that nothing can have come of it."""

    campaign_id: str
    campaign_version: int
    entry_id: str
    trigger: TriggerKind
    profile_id: str
    entered_at: Millis
    segment_id: str | None = None
    segment_name: str | None = None
    computed: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    event: Mapping[str, Any] | None = None
    row_seq: int | None = None
    holdout: bool = False
    refused: str | None = None
    traceparent: str | None = None
    received_at: Millis = 0
    known_at: Millis = 0


def by_change(
    change: SegmentChange,
    campaign: CampaignDefinition,
    version: int,
    *,
    now: Millis,
    traceparent: str | None = None,
    received_at: Millis = 0,
    known_at: Millis = 0,
) -> Start | None:
    """The entry that this change causes in `campaign` (its live definition, `version`); None when it causes
    none."""
    properties, trigger = change.properties, campaign.trigger
    if campaign.state != "live" or not isinstance(trigger, SegmentTrigger):
        return None
    entered = change.event == "Audience Entered"
    if properties["segment_id"] != trigger.segment or entered != (trigger.on == "entered"):
        return None
    if not _starts(str(properties["reason"]), campaign.include_current):
        return None
    entry = str(properties["entry_id"])
    at = parse_instant(change.timestamp)
    return Start(
        campaign_id=campaign.id,
        campaign_version=version,
        entry_id=entry if entered else content_id("e", entry, "exit"),
        trigger="segment",
        profile_id=change.profile.id,
        entered_at=at,
        segment_id=trigger.segment,
        segment_name=str(properties.get("segment_name") or trigger.segment).replace("\0", ""),
        computed=_computed(change.context.get("traits")),
        holdout=held_out(campaign, change.profile.id),
        refused=too_old(at, campaign, now=now),
        traceparent=traceparent,
        received_at=received_at,
        known_at=known_at,
    )


def by_event(
    row: EventRow,
    campaign: CampaignDefinition,
    version: int,
    *,
    now: Millis,
    traceparent: str | None = None,
    known_at: Millis = 0,
) -> Start | None:
    """The entry that this event causes; None when it causes none. History never does."""
    trigger = campaign.trigger
    if campaign.state != "live" or not isinstance(trigger, EventTrigger) or row.imported:
        return None
    if row.event != trigger.event:
        return None
    event = event_of(row)
    key = value_at(event, trigger.by) if trigger.by is not None else None
    if trigger.by is not None and key is None:
        return None
    return Start(
        campaign_id=campaign.id,
        campaign_version=version,
        entry_id=content_id("e", "event", row.source, row.message_id),
        trigger="event",
        profile_id=row.profile_id,
        entered_at=row.ts,
        key=key,
        event=event if len(msgspec.json.encode(event)) <= _MAX_EVENT_BYTES else {**event, "properties": {}},
        row_seq=row.seq,
        holdout=held_out(campaign, row.profile_id),
        refused=too_old(row.ts, campaign, now=now),
        traceparent=traceparent,
        received_at=row.received_at,
        known_at=known_at,
    )


def by_run(campaign: CampaignDefinition, version: int, run_at: Millis, profile_id: str) -> Start:
    """The entry of a member of the audience in the run of `run_at`."""
    return Start(
        campaign_id=campaign.id,
        campaign_version=version,
        entry_id=content_id("e", "run", campaign.id, run_at, profile_id),
        trigger="schedule",
        profile_id=profile_id,
        entered_at=run_at,
        segment_id=campaign.segment,
        segment_name=campaign.segment,
        holdout=held_out(campaign, profile_id),
        known_at=run_at,
    )


def by_membership(campaign: CampaignDefinition, version: int, profile_id: str, entry_id: str, at: Millis) -> Start:
    """The entry of somebody who was in the segment before the campaign (`include_current`)."""
    return Start(
        campaign_id=campaign.id,
        campaign_version=version,
        entry_id=entry_id,
        trigger="segment",
        profile_id=profile_id,
        entered_at=at,
        segment_id=campaign.segment,
        segment_name=campaign.segment,
        holdout=held_out(campaign, profile_id),
        known_at=at,
    )


def too_old(entered_at: Millis, campaign: CampaignDefinition, *, now: Millis) -> Literal["entry_too_old"] | None:
    """When the entry is further back than the campaign still answers to."""
    return "entry_too_old" if now - entered_at > campaign.max_entry_age_ms else None


def event_of(row: EventRow) -> dict[str, Any]:
    """The event as templates and keys see it."""
    return {
        "event": row.event,
        "message_id": row.message_id,
        "timestamp": row.ts,
        "properties": _storable(row.properties),
        "context": _storable(row.context),
    }


def value_at(event: Mapping[str, Any], path: str) -> str | None:
    """The text or number at a path such as `properties.cart_id`, as text; None without one."""
    found: Any = event
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, str | int | float) or found == "":
        return None
    return str(found)[:500]


def _storable(raw: msgspec.Raw) -> Any:
    """Postgres refuses U+0000 in jsonb."""
    decoded = msgspec.json.decode(bytes(raw) or b"{}")
    return decoded if b"\\u0000" not in msgspec.json.encode(decoded) else {}


def _starts(reason: str, include_current: bool) -> bool:
    return reason in _OWN_DOING or (reason == "definition" and include_current)


def _computed(traits: object) -> dict[str, Any]:
    if not isinstance(traits, Mapping):
        return {}
    computed = {key.removeprefix(_COMPUTED): value for key, value in traits.items() if key.startswith(_COMPUTED)}
    return {key: value for key, value in computed.items() if b"\\u0000" not in msgspec.json.encode([key, value])}
