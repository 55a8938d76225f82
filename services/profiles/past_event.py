"""A row of a customer's history, as far as taking the customer apart needs it (pure).

Rows of before migration 0004 say whom they name, and what, only in their payload.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from headrace.contracts.identifiers import ANONYMOUS_ID, EMAIL, PHONE, USER_ID
from headrace.contracts.instant import Millis
from services.profiles.identity import Identifier, strongest_first
from services.profiles.normalise import identifier
from services.profiles.stated import Stated

_OURS = "headrace."
"""Sources of our own begin so: outcomes of messages, changes by API. They name nobody."""


class Row(Protocol):
    """A row of the timeline with `written_as` and `held_as`."""

    def __getitem__(self, column: str, /) -> Any: ...


class PastEvent(NamedTuple):
    """An event that is the customer's. `written_as`: the profile id in the row; `held_as`: the profile that got it
    last, which an unmerge made, else the same. `ts` is when it counts."""

    q: int
    seq: int
    time: Millis
    written_as: str
    held_as: str
    ts: Millis
    key: tuple[str, str]
    identifiers: tuple[Identifier, ...]
    stated: Stated | None
    time_zone: str | None


class _External(msgspec.Struct, frozen=True):
    type: str
    value: str


class _Context(msgspec.Struct, frozen=True):
    timezone: object = None


class _Payload(msgspec.Struct, frozen=True):
    context: _Context = _Context()
    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: tuple[_External, ...] = ()
    traits: dict[str, Any] = {}
    consents: dict[str, Any] = {}
    tags: dict[str, bool] = {}


_identifiers = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_stated = msgspec.json.Decoder(Stated)
_payload = msgspec.json.Decoder(_Payload)


def past_event(row: Row) -> PastEvent:
    try:
        said = _payload.decode(row["payload"])
    except (msgspec.DecodeError, RecursionError):
        said = _Payload()
    q, seq, time, ts, source = row["q"], row["seq"], row["time"], row["ts"], row["source"]
    zone = said.context.timezone
    return PastEvent(
        q,
        seq,
        time,
        row["written_as"],
        row["held_as"],
        ts,
        (source, row["message_id"]),
        _named_before(source, said) if row["identifiers"] is None else _identifiers.decode(row["identifiers"]),
        _stated_before(said, [ts, time, q, seq]) if row["stated"] is None else _stated.decode(row["stated"]),
        zone if isinstance(zone, str) else None,
    )


def _named_before(source: str, said: _Payload) -> tuple[Identifier, ...]:
    """Not surely all of the event's, and a user id that the profile had had before it."""
    if source.startswith(_OURS):
        return ()
    return strongest_first(
        {(kind, found) for kind, value in _candidates(said) if (found := identifier(kind, value))}
    )


def _candidates(said: _Payload) -> Iterator[tuple[str, object]]:
    yield USER_ID, said.user_id
    yield ANONYMOUS_ID, said.anonymous_id
    yield EMAIL, said.traits.get("email")
    yield PHONE, said.traits.get("phone")
    for one in said.external_ids:
        yield one.type, one.value


def _stated_before(said: _Payload, stamp: list[int | str]) -> Stated | None:
    """What the event changed, which is not all that it said."""
    if not (said.traits or said.consents or said.tags):
        return None
    return Stated(int(stamp[0]), stamp, said.traits, said.consents, said.tags)
