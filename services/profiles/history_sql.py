"""Whose each row of the timeline is now: rows stay where they were written, merges and unmerges say who has them.

A row belongs to the profile that the last unmerge which moved it made, else to the one it was written under; and
that stands for the profile which it has gone into.
"""

from typing import NamedTuple

import asyncpg
import msgspec

from headrace.contracts.instant import Millis
from services.profiles.identity import Identifier
from services.profiles.stated import Stated
from services.profiles.store import Connection

FAMILY = "SELECT $1::text AS id UNION ALL SELECT profile_id FROM alias WHERE root = $1::text"
OWN_ROWS = """
    SELECT {columns} FROM timeline
    WHERE timeline.profile_id = ANY({family}) AND timeline.profile_id <> ''
        AND NOT EXISTS (SELECT FROM moved WHERE (moved.q, moved.seq) = (timeline.q, timeline.seq))
"""
MOVED_ROWS = """
    SELECT {columns} FROM unmerge JOIN moved ON moved.unmerge_id = unmerge.id
        JOIN timeline ON (timeline.q, timeline.seq) = (moved.q, moved.seq)
    WHERE unmerge.into_id = ANY({family}) AND NOT EXISTS (
        SELECT FROM moved AS again JOIN unmerge AS later ON later.id = again.unmerge_id
        WHERE (again.q, again.seq) = (moved.q, moved.seq) AND later.n > unmerge.n)
"""
ROWS_OF = f"{OWN_ROWS} UNION ALL {MOVED_ROWS}"
"""The rows of the profiles in the array `{family}`: written under them and never moved, or moved to them last."""
_EVENTS = (
    ROWS_OF.format(
        columns=(
            "timeline.q, timeline.seq, timeline.time, timeline.profile_id, timeline.kind, timeline.ts, "
            "timeline.source, timeline.message_id, timeline.identifiers, timeline.stated, timeline.payload"
        ),
        family="$1::text[]",
    )
    + " ORDER BY time, q, seq"
)


class _External(msgspec.Struct, frozen=True):
    type: str
    value: str


class _Context(msgspec.Struct, frozen=True):
    timezone: object = None


class _Payload(msgspec.Struct, frozen=True):
    """What of a row's payload an unmerge needs; rows of before migration 0004 say the rest only here."""

    context: _Context = _Context()
    user_id: str | None = None
    anonymous_id: str | None = None
    external_ids: tuple[_External, ...] = ()
    traits: dict[str, object] = {}
    consents: dict[str, object] = {}
    tags: dict[str, bool] = {}


class PastEvent(NamedTuple):
    """A row of the customer's events. `ts` is when it counts."""

    q: int
    seq: int
    time: Millis
    written_as: str
    ts: Millis
    key: tuple[str, str]
    identifiers: tuple[Identifier, ...]
    stated: Stated | None
    time_zone: str | None


_identifiers = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_stated = msgspec.json.Decoder(Stated)
_payload = msgspec.json.Decoder(_Payload)


async def family(connection: Connection, root: str) -> list[str]:
    """The profile, first, and everybody who went into it."""
    return [row["id"] for row in await connection.fetch(FAMILY, root)]


async def past_events(connection: Connection, profile_ids: list[str]) -> list[PastEvent]:
    """The events that are theirs now, in the fold's order."""
    rows = await connection.fetch(_EVENTS, profile_ids)
    return [_past_event(row) for row in rows if row["kind"] == "event"]


def _past_event(row: asyncpg.Record) -> PastEvent:
    q, seq, time, profile, _, ts, source, message_id, identifiers, stated, payload = row
    try:
        said = _payload.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        said = _Payload()
    zone = said.context.timezone
    return PastEvent(
        q,
        seq,
        time,
        profile,
        ts,
        (source, message_id),
        _identifiers.decode(identifiers) if identifiers is not None else _old_identifiers(said),
        _stated.decode(stated) if stated is not None else _old_statement(said, ts, time, q, seq),
        zone if isinstance(zone, str) else None,
    )


def _old_identifiers(said: _Payload) -> tuple[Identifier, ...]:
    named = (("user_id", said.user_id), ("anonymous_id", said.anonymous_id))
    others = [(one.type, one.value) for one in said.external_ids]
    return (*((kind, value) for kind, value in named if value), *others)


def _old_statement(said: _Payload, ts: Millis, time: Millis, q: int, seq: int) -> Stated | None:
    if not (said.traits or said.consents or said.tags):
        return None
    return Stated(ts, [ts, time, q, seq], said.traits, said.consents, said.tags)  # type: ignore[arg-type]
