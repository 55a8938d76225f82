"""Does this segment change start this campaign? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.ids import send_id
from headrace.contracts.instant import Millis, parse_instant
from headrace.contracts.segment_change import SegmentChange

# Reasons by which a customer's own doing, or time, let them in. History (import), repairs and the moves of a
# merge or an erasure never send (DESIGN §4.5, §7).
_OWN_DOING = frozenset({"event", "trait", "time", "population"})
_COMPUTED = "computed."

SkipAtEntry = Literal["entry_too_old"]


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry into a campaign and the one message it leads to. `id` is the message's: the same change always
    gives the same decision. `computed` are the computed traits that came with the change."""

    id: str
    campaign_id: str
    campaign_version: int
    entry_id: str
    step: str
    profile_id: str
    segment_id: str
    segment_name: str
    channel: str
    template_id: str
    entered_at: Millis
    computed: Mapping[str, Any]
    skip: SkipAtEntry | None


def decide(change: SegmentChange, campaign: CampaignDefinition, version: int, *, now: Millis) -> Decision | None:
    """The decision of `campaign` (its live definition, `version`) on `change`; None when it starts nothing."""
    properties = change.properties
    if campaign.state != "live" or change.event != "Audience Entered":
        return None
    if properties["segment_id"] != str(campaign.segment):
        return None
    if not _starts(str(properties["reason"]), campaign.include_current):
        return None
    entered_at = parse_instant(change.timestamp)
    entry, (step, send) = str(properties["entry_id"]), campaign.sends[0]
    return Decision(
        id=send_id(campaign.id, entry, step),
        campaign_id=campaign.id,
        campaign_version=version,
        entry_id=entry,
        step=step,
        profile_id=change.profile.id,
        segment_id=str(campaign.segment),
        segment_name=str(properties.get("segment_name") or str(campaign.segment)).replace("\0", ""),
        channel=send.channel,
        template_id=send.template_for(send.channel) or "",
        entered_at=entered_at,
        computed=_computed(change.context.get("traits")),
        skip="entry_too_old" if too_old(entered_at, campaign, now=now) else None,
    )


def too_old(entered_at: Millis, campaign: CampaignDefinition, *, now: Millis) -> bool:
    """True when the entry is further back than the campaign still answers to."""
    return now - entered_at > campaign.max_entry_age_ms


def _starts(reason: str, include_current: bool) -> bool:
    return reason in _OWN_DOING or (reason == "definition" and include_current)


def _computed(traits: object) -> dict[str, Any]:
    if not isinstance(traits, Mapping):
        return {}
    computed = {key.removeprefix(_COMPUTED): value for key, value in traits.items() if key.startswith(_COMPUTED)}
    # Postgres refuses U+0000 in jsonb
    return {key: value for key, value in computed.items() if b"\\u0000" not in msgspec.json.encode([key, value])}
