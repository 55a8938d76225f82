"""A transition of membership, and the record that says so on `cdp.segment-changes`."""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from headrace.contracts.headers import Headers, cloud_event
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeAction, ChangeProfile, ChangeReason, SegmentChange
from services.segmenter.customer import Customer
from services.segmenter.paths import decode_json

SOURCE = "segmenter"

_FORMS = 16_384
_GAP = b"\x00"  # stands in no JSON text
_encode = msgspec.json.Encoder().encode


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


class Transition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    form = _form(
        transition.segment_id,
        transition.segment_name,
        transition.version,
        transition.action,
        transition.reason,
    )
    user_id, anonymous_id, traits, external_ids = _described(transition.person)
    filling = (
        _encode(transition.message_id),
        user_id,
        anonymous_id,
        _encode(format_instant(transition.at)),
        _encode(transition.entry_id),
        _encode(transition.cause_message_id),
        _encode(transition.sequence),
        traits,
        external_ids,
        _encode(transition.profile_id),
    )
    return form[0] + b"".join([part for pair in zip(filling, form[1:], strict=True) for part in pair])


@lru_cache(maxsize=_FORMS)
def _form(segment_id: str, name: str, version: int, action: ChangeAction, reason: ChangeReason) -> list[bytes]:
    """What the changes of one segment have in common, in pieces: between them stands what differs. Cheaper than to
    encode each change whole."""
    gap: Any = msgspec.Raw(_GAP)
    entered = action == "entered"
    change = SegmentChange(
        event="Audience Entered" if entered else "Audience Exited",
        message_id=gap,
        user_id=gap,
        anonymous_id=gap,
        timestamp=gap,
        properties={
            "audience_key": segment_id,
            segment_id: entered,
            "segment_id": segment_id,
            "segment_name": name,
            "segment_version": version,
            "action": action,
            "reason": reason,
            "entry_id": gap,
            "cause_message_id": gap,
            "sequence": gap,
        },
        context={"personas": _personas(segment_id), "traits": gap, "externalIds": gap},
        profile=ChangeProfile(gap),
    )
    return _encode(change).split(_GAP)


def _personas(segment_id: str) -> dict[str, str]:
    return {
        "computation_class": "audience",
        "computation_id": segment_id,
        "computation_key": segment_id,
        "namespace": "default",
        "space_id": "default",
    }


@lru_cache(maxsize=1_024)  # one event may move a customer in many segments
def _described(who: Person) -> tuple[bytes, bytes, bytes, bytes]:
    """JSON of the user id, the anonymous id, the traits and the external ids."""
    traits = {"email": who.email, "phone": who.phone}
    external_ids = [
        {"id": value, "type": kind, "collection": "users", "encoding": "none"} for kind, value in who.external_ids
    ]
    return (
        _encode(who.user_id),
        _encode(who.anonymous_id),
        _encode({name: value for name, value in traits.items() if value is not None}),
        _encode(external_ids),
    )


def change_headers(action: ChangeAction, *, message_id: str, profile_id: str, traceparent: str | None) -> Headers:
    """The headers of a change, but for those of a store's output."""
    return cloud_event(
        kind=f"segment.{action}.v1",
        event_id=message_id,
        source=SOURCE,
        subject=profile_id,
        traceparent=traceparent,
    )
