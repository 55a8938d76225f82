"""A new value of a computed trait, and the record that says so on `cdp.computed-traits`."""

from functools import lru_cache
from typing import Any

import msgspec

from headrace.contracts import ids
from headrace.contracts.computed_trait import ComputedTrait, TraitChange, TraitProfile, TraitReason
from headrace.contracts.headers import Headers, cloud_event
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeReason
from services.segmenter.change import SOURCE, Occasion, Position

KIND = "trait.computed.v1"

_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


class Computation(msgspec.Struct, frozen=True, gc=False):
    """One customer's trait has another value (JSON text; None: no value any more), as the `step`-th of what
    happened there. `sequence` numbers the partition's computations, so it rises per customer and trait."""

    occasion: Occasion
    trait_id: str
    version: int
    value: bytes | None
    message_id: str
    sequence: int
    step: int

    @property
    def position(self) -> Position:
        occasion = self.occasion
        return Position(occasion.seq, occasion.now, occasion.profile_id, self.step)


def message_id(trait_id: str, version: int, profile_id: str, cause: tuple[str, ...], value: bytes | None) -> str:
    """One cause gives a trait one value; after a restored database it may give another one, which is news."""
    text = "" if value is None else value.decode()
    return ids.content_id("c", trait_id, version, profile_id, *cause, text)


def encode_computation(made: Computation) -> bytes:
    """The record's value: the same bytes on every replay."""
    occasion, who = made.occasion, made.occasion.person
    external_ids = [
        {"id": value, "type": kind, "collection": "users", "encoding": "none"} for kind, value in who.external_ids
    ]
    value: Any = _NULL if made.value is None else msgspec.Raw(made.value)
    record = ComputedTrait(
        message_id=made.message_id,
        user_id=who.user_id,
        anonymous_id=who.anonymous_id,
        timestamp=format_instant(occasion.at),
        traits={made.trait_id: value},
        context={"personas": _personas(made.trait_id), "externalIds": external_ids},
        profile=TraitProfile(occasion.profile_id),
        trait=TraitChange(
            id=made.trait_id,
            version=made.version,
            reason=_reason(occasion.reason),
            sequence=made.sequence,
        ),
    )
    return _encode(record)


def redacted_computation(value: bytes) -> bytes:
    """A record without the person: no identifiers but the profile's id, and no value."""
    record = msgspec.json.decode(value)
    context = {**record.get("context", {}), "externalIds": []}
    gone = {"userId": None, "anonymousId": None, "context": context, "traits": dict.fromkeys(record["traits"])}
    return _encode({**record, **gone})


def computation_headers(*, message_id: str, profile_id: str, traceparent: str | None) -> Headers:
    """The headers of a record, but for those of a store's output."""
    return cloud_event(kind=KIND, event_id=message_id, source=SOURCE, subject=profile_id, traceparent=traceparent)


@lru_cache(maxsize=1_024)
def _personas(trait_id: str) -> dict[str, str]:
    return {
        "computation_class": "trait",
        "computation_id": trait_id,
        "computation_key": trait_id,
        "namespace": "default",
        "space_id": "default",
    }


def _reason(reason: ChangeReason) -> TraitReason:
    assert reason != "trait", "no trait that is sent decides"
    assert reason != "population", "nor do the others"
    return reason
