"""A transition of membership, and the record that says so on `cdp.segment-changes`."""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from headrace.contracts.headers import Headers, cloud_event
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeAction, ChangeProfile, ChangeReason, SegmentChange
from headrace.contracts.segment_values import COMPUTED
from services.segmenter.customer import Customer
from services.segmenter.paths import decode_json

SOURCE = "segmenter"

_FORMS = 16_384
_GAP = "\0"  # stands in no JSON text
_FILLING = ('"%s"', "%s", "%s", '"%s"', '"%s"', "%s", "%d", "%s", "%s", "%s", "")
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
    """What a change says about the customer besides the profile id; empty after an erasure. `computed`: the
    computed traits with their JSON texts."""

    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: tuple[tuple[str, str], ...] = ()
    email: str | None = None
    phone: str | None = None
    computed: tuple[tuple[str, bytes], ...] = ()


def person(customer: Customer) -> Person:
    return Person(
        customer.user_id,
        customer.anonymous_id,
        tuple(sorted(customer.external_ids.items())),
        _text(customer.traits.get("email")),
        _text(customer.traits.get("phone")),
        tuple((key, text) for key, (_, _, text) in sorted(customer.computed.items())) if customer.computed else (),
    )


@lru_cache(maxsize=4_096)
def _text(raw: bytes | None) -> str | None:
    value = None if raw is None else decode_json(raw)
    return value if isinstance(value, str) else None


class Occasion(msgspec.Struct, frozen=True, gc=False):
    """What moves one customer: all its transitions share it. `row_seq` is the row that decided it, 0 for a timer;
    `seq` and `now` are the fold's."""

    profile_id: str
    reason: ChangeReason
    at: int
    cause_message_id: str | None
    row_seq: int
    seq: int
    now: int
    person: Person


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One customer entered or exited one segment, as the `step`-th of what happened there. `sequence` numbers the
    partition's transitions, so it rises per customer and segment."""

    occasion: Occasion
    segment_id: str
    segment_name: str
    version: int
    action: ChangeAction
    entry_id: str
    message_id: str
    sequence: int
    step: int

    @property
    def profile_id(self) -> str:
        return self.occasion.profile_id

    @property
    def reason(self) -> ChangeReason:
        return self.occasion.reason

    @property
    def at(self) -> int:
        return self.occasion.at

    @property
    def cause_message_id(self) -> str | None:
        return self.occasion.cause_message_id

    @property
    def row_seq(self) -> int:
        return self.occasion.row_seq

    @property
    def position(self) -> Position:
        occasion = self.occasion
        return Position(occasion.seq, occasion.now, occasion.profile_id, self.step)


class Scene(NamedTuple):
    """An occasion in JSON, once for all its changes."""

    user_id: str
    anonymous_id: str
    timestamp: str
    cause_message_id: str
    traits: str
    external_ids: str
    profile_id: str


def scene(occasion: Occasion) -> Scene:
    user_id, anonymous_id, traits, external_ids = _described(occasion.person)
    return Scene(
        user_id,
        anonymous_id,
        format_instant(occasion.at),
        _text_of(occasion.cause_message_id),
        traits,
        external_ids,
        _text_of(occasion.profile_id),
    )


def encode_change(transition: Transition, on: Scene | None = None) -> bytes:
    """The record's value: the same bytes on every replay. `on`: the scene of its occasion, if that is known."""
    occasion = transition.occasion
    form = _form(
        transition.segment_id,
        transition.segment_name,
        transition.version,
        transition.action,
        occasion.reason,
    )
    user_id, anonymous_id, timestamp, cause, traits, external_ids, profile_id = on or scene(occasion)
    text = form % (
        transition.message_id,
        user_id,
        anonymous_id,
        timestamp,
        transition.entry_id,
        cause,
        transition.sequence,
        traits,
        external_ids,
        profile_id,
    )
    return text.encode()


@lru_cache(maxsize=_FORMS)
def _form(segment_id: str, name: str, version: int, action: ChangeAction, reason: ChangeReason) -> str:
    """What the changes of one segment have in common, to be filled with what differs: cheaper than to encode each
    change whole. Ids and instants of ours need no escape."""
    gap: Any = msgspec.Raw(_GAP.encode())
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
    pieces = _text_of(change).replace("%", "%%").split(_GAP)
    return "".join([part for pair in zip(pieces, _FILLING, strict=True) for part in pair])


def _personas(segment_id: str) -> dict[str, str]:
    return {
        "computation_class": "audience",
        "computation_id": segment_id,
        "computation_key": segment_id,
        "namespace": "default",
        "space_id": "default",
    }


@lru_cache(maxsize=1_024)  # one event may move a customer in many segments
def _described(who: Person) -> tuple[str, str, str, str]:
    """JSON of the user id, the anonymous id, the traits and the external ids."""
    traits: dict[str, Any] = {"email": who.email, "phone": who.phone}
    traits |= {f"{COMPUTED}.{key}": msgspec.Raw(text) for key, text in who.computed}
    external_ids = [
        {"id": value, "type": kind, "collection": "users", "encoding": "none"} for kind, value in who.external_ids
    ]
    return (
        _text_of(who.user_id),
        _text_of(who.anonymous_id),
        _text_of({name: value for name, value in traits.items() if value is not None}),
        _text_of(external_ids),
    )


def redacted_change(value: bytes) -> bytes:
    """A change without the person: no identifiers but the profile's id, no traits."""
    change = msgspec.json.decode(value)
    context = {**change.get("context", {}), "traits": {}, "externalIds": []}
    return msgspec.json.encode({**change, "userId": None, "anonymousId": None, "context": context})


def _text_of(value: object) -> str:
    return _encode(value).decode()


def change_headers(action: ChangeAction, *, message_id: str, profile_id: str, traceparent: str | None) -> Headers:
    """The headers of a change, but for those of a store's output."""
    return cloud_event(
        kind=f"segment.{action}.v1",
        event_id=message_id,
        source=SOURCE,
        subject=profile_id,
        traceparent=traceparent,
    )
