"""A transition of membership, and the record that says so on `cdp.segment-changes`."""

from typing import Any, NamedTuple

import msgspec

from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeAction, ChangeProfile, ChangeReason, SegmentChange
from headrace.log.port import NewRecord
from services.segmenter.customer import Customer
from services.segmenter.paths import decode_json

SOURCE = "segmenter"

_encoder = msgspec.json.Encoder()


class Position(NamedTuple):
    """Where in a partition's work an output stands: after row `seq`, at instant `instant`, for this
    customer, as its `step`-th. Positions of successive outputs rise; none depends on batches or ticks."""

    seq: int
    instant: int
    profile_id: str
    step: int

    def __str__(self) -> str:
        return f"{self.seq},{self.instant},{self.profile_id},{self.step}"


START = Position(0, 0, "", 0)


def parse_position(text: str) -> Position:
    """The inverse of str(); the empty text is before everything."""
    if not text:
        return START
    seq, instant, profile, step = text.split(",")
    return Position(int(seq), int(instant), profile, int(step))


class Person(NamedTuple):
    """What a change says about the customer besides the profile id; empty after an erasure."""

    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: tuple[tuple[str, str], ...] = ()
    email: str | None = None
    phone: str | None = None


def person(customer: Customer) -> Person:
    return Person(
        customer.user_id,
        customer.anonymous_id,
        tuple(sorted(customer.external_ids.items())),
        _text(customer.traits.get("email")),
        _text(customer.traits.get("phone")),
    )


def _text(raw: bytes | None) -> str | None:
    value = None if raw is None else decode_json(raw)
    return value if isinstance(value, str) else None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One customer entered or exited one segment. `sequence` numbers the partition's transitions, so it
    rises per customer and segment. `row_seq` is the row that decided it, 0 for a timer."""

    profile_id: str
    segment_id: str
    segment_name: str
    version: int
    action: ChangeAction
    reason: ChangeReason
    entry_id: str
    message_id: str
    cause_message_id: str | None
    at: int
    sequence: int
    position: Position
    person: Person
    row_seq: int = 0


def encode_change(transition: Transition) -> bytes:
    """The record's value: the same bytes on every replay."""
    entered = transition.action == "entered"
    change = SegmentChange(
        event="Audience Entered" if entered else "Audience Exited",
        message_id=transition.message_id,
        user_id=transition.person.user_id,
        anonymous_id=transition.person.anonymous_id,
        timestamp=format_instant(transition.at),
        properties=_properties(transition, entered),
        context=_context(transition),
        profile=ChangeProfile(transition.profile_id),
    )
    return _encoder.encode(change)


def _properties(transition: Transition, entered: bool) -> dict[str, Any]:
    return {
        "audience_key": transition.segment_id,
        transition.segment_id: entered,
        "segment_id": transition.segment_id,
        "segment_name": transition.segment_name,
        "segment_version": transition.version,
        "action": transition.action,
        "reason": transition.reason,
        "entry_id": transition.entry_id,
        "cause_message_id": transition.cause_message_id,
        "sequence": transition.sequence,
    }


def _context(transition: Transition) -> dict[str, Any]:
    who = transition.person
    traits = {"email": who.email, "phone": who.phone}
    return {
        "personas": {
            "computation_class": "audience",
            "computation_id": transition.segment_id,
            "computation_key": transition.segment_id,
            "namespace": "default",
            "space_id": "default",
        },
        "traits": {name: value for name, value in traits.items() if value is not None},
        "externalIds": [
            {"id": value, "type": kind, "collection": "users", "encoding": "none"}
            for kind, value in who.external_ids
        ],
    }


def change_record(transition: Transition, *, epoch: int, seq: int, traceparent: str | None) -> NewRecord:
    """The finished record of a transition with its dense number."""
    kind = f"segment.{transition.action}.v1"
    headers = cloud_event(
        kind=kind,
        event_id=transition.message_id,
        source=SOURCE,
        subject=transition.profile_id,
        traceparent=traceparent,
    )
    numbers = store_output(source=SOURCE, epoch=epoch, seq=seq, position=str(transition.position))
    return NewRecord(transition.profile_id.encode(), encode_change(transition), (*headers, *numbers))
