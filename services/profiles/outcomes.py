"""What became of a message, and what the messenger tells about a customer, as events on the timeline (DESIGN §7,
tracking-api.md §2)."""

import contextlib
from collections.abc import Mapping

import msgspec

from headrace.contracts.customer_update import CustomerUpdate, MessageRecord
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
_plain = msgspec.json.Decoder(MessageOutcome)
_decoder: msgspec.json.Decoder[MessageRecord] = msgspec.json.Decoder(MessageRecord)


def read_outcome(record: Record) -> Incoming:
    """A reader of `cdp.messages.v1`. Unsubscribing and complaining also withdraw the channel's consent."""
    outcome = _decoded(record.value or b"")
    if isinstance(outcome, CustomerUpdate):
        return _updated(outcome, record)
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


def _decoded(value: bytes) -> MessageRecord:
    """An outcome without `kind` is one from before there were updates."""
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError:
        with contextlib.suppress(msgspec.ValidationError):
            return _plain.decode(value)
        raise Unreadable("undecodable", "not a record of cdp.messages.v1") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Unreadable("undecodable", f"not a record of cdp.messages.v1: {error}") from error


def _updated(update: CustomerUpdate, record: Record) -> Incoming:
    ts = min(update.at, record.time)
    named = {"campaign_id": update.campaign_id, "entry_id": update.entry_id, "step": update.step}
    properties = update.properties or {name: value for name, value in named.items() if value is not None}
    return Incoming(
        key=(SOURCE, update.message_id),
        row=EventRow(
            seq=0,
            epoch=0,
            time=0,
            low=0,
            profile_id="",
            source=SOURCE,
            message_id=update.message_id,
            type=update.type,
            ts=update.at,
            event=update.event,
            properties=msgspec.Raw(msgspec.json.encode(properties)),
            received_at=update.at,
        ),
        ts=ts,
        body_hash=fingerprint(msgspec.json.encode(update)),
        traceparent=carried_trace(record.headers),
        stamp=[0, ts, record.time, record.partition, record.offset, SOURCE, "first"],
        addressed_to=update.profile_id,
        traits=update.traits,
        consents=update.consents,
        tags=update.tags,
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
        "machine": outcome.machine if outcome.outcome == "opened" else None,
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
