"""What became of a message, as an event on the customer's timeline (DESIGN §7, tracking-api.md §2)."""

from collections.abc import Mapping

import msgspec

from headrace.contracts.headers import carried_trace
from headrace.contracts.instant import Millis
from headrace.contracts.message import MessageOutcome, Outcome
from headrace.contracts.profile_event import EventRow
from headrace.log.port import Record
from services.profiles.intake import Incoming, Unreadable, fingerprint

SOURCE = "headrace.messenger"

_CHANNELS = {"sms": "SMS", "email": "Email", "viber": "Viber", "whatsapp": "WhatsApp", "webhook": "Webhook"}
_UNSUBSCRIBED = "Unsubscribed"
_VERBS: Mapping[Outcome, str] = {
    "accepted": "Sent",
    "delivered": "Delivered",
    "failed": "Failed",
    "bounced": "Bounced",
    "skipped": "Skipped",
    "unknown": "Unknown",
    "opened": "Opened",
    "clicked": "Link Clicked",
    "complained": "Marked as Spam",
}
OUTCOMES: Mapping[str, Outcome] = {
    **{f"{channel} {verb}": outcome for channel in _CHANNELS.values() for outcome, verb in _VERBS.items()},
    _UNSUBSCRIBED: "unsubscribed",
}
"""By the names of the events that tell them."""
_OPT_OUTS = frozenset({"unsubscribed", "complained"})
_decoder = msgspec.json.Decoder(MessageOutcome)


def read_outcome(record: Record) -> Incoming:
    """A reader of `cdp.messages.v1`. Unsubscribing and complaining also withdraw the channel's consent."""
    try:
        outcome = _decoder.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Unreadable("undecodable", f"not an outcome of cdp.messages.v1: {error}") from error
    ts = min(outcome.at, record.time)
    return Incoming(
        key=(SOURCE, outcome.message_id),
        row=_row(outcome, outcome.at),
        ts=ts,
        body_hash=fingerprint(outcome.id.encode(), outcome.outcome.encode()),
        traceparent=carried_trace(record.headers),
        stamp=[0, ts, record.time, record.partition, record.offset, SOURCE, "first"],
        addressed_to=outcome.profile_id,
        consents={outcome.channel: "withdrawn"} if outcome.outcome in _OPT_OUTS else {},
    )


def event_name(outcome: MessageOutcome) -> str:
    """`Email Opened`, `SMS Delivered`, …; `Unsubscribed` stands alone, as in Segment's e-mail spec."""
    if outcome.outcome == "unsubscribed":
        return _UNSUBSCRIBED
    return f"{_CHANNELS[outcome.channel]} {_VERBS[outcome.outcome]}"


def _row(outcome: MessageOutcome, at: Millis) -> EventRow:
    properties = {
        "message_id": outcome.id,
        "campaign_id": outcome.campaign_id,
        "campaign_version": outcome.campaign_version,
        "entry_id": outcome.entry_id,
        "step": outcome.step,
        "channel": outcome.channel,
        "segment_id": outcome.segment_id,
        "reason": outcome.reason,
        "link_url": outcome.link,
    }
    present = {name: value for name, value in properties.items() if value is not None}
    return EventRow(
        seq=0,
        epoch=0,
        time=0,
        low=0,
        profile_id="",
        source=SOURCE,
        message_id=outcome.message_id,
        type="track",
        ts=at,
        event=event_name(outcome),
        properties=msgspec.Raw(msgspec.json.encode(present)),
        received_at=at,
    )
