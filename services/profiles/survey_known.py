"""What the store knows of a customer that decides what to ask: the times of traits, answers on the timeline."""

from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from services.profiles.history_sql import FAMILY, ROWS_OF
from services.profiles.profile import Documents
from services.profiles.store import Connection
from services.profiles.survey_questions import Known
from services.profiles.traits import Stamp, whole_stamp

MAX_EVENTS = 5_000
"""Of a customer's answers, the latest are read."""

# By the partial index `timeline_surveys`, whose condition this repeats. An answer that stated nothing was none to
# the question.
_TOLD = f"""
    SELECT event, ts, payload FROM ({
    ROWS_OF.format(
        columns="timeline.event, timeline.ts, timeline.time, timeline.stated, timeline.payload",
        family=f"ARRAY({FAMILY})",
    )
}) AS theirs
    WHERE event IN ('Survey Answered', 'Survey Question Skipped', 'Survey Question Asked')
        AND (event <> 'Survey Answered' OR stated IS NOT NULL)
    ORDER BY time DESC LIMIT $2
"""  # noqa: S608
CUSTOMER = """
    SELECT id, traits::text AS traits, trait_times::text AS trait_times FROM profile
    WHERE id = coalesce((SELECT root FROM alias WHERE profile_id = $1), $1) AND merged_into IS NULL AND NOT erased
"""
_LIVE = """
    SELECT w.id AS given, p.id FROM unnest($1::text[]) AS w (id)
    LEFT JOIN alias a ON a.profile_id = w.id
    JOIN profile p ON p.id = coalesce(a.root, w.id) AND p.merged_into IS NULL AND NOT p.erased
"""
_stamps = msgspec.json.Decoder(dict[str, Stamp])


class _Named(msgspec.Struct, frozen=True):
    survey: object = None
    question: object = None


class _Payload(msgspec.Struct):
    properties: _Named = _Named()


_payload = msgspec.json.Decoder(_Payload)


class Respondent(msgspec.Struct, frozen=True):
    """A live customer."""

    id: str
    known: Known


async def respondent(pool: asyncpg.Pool, profile_id: str) -> Respondent | None:
    """Who `profile_id` is or went into; None for nobody (any more)."""
    async with pool.acquire() as connection:
        row = await connection.fetchrow(CUSTOMER, profile_id)
        if row is None:
            return None
        stamps = _stamps.decode(row["trait_times"])
        held = msgspec.json.decode(row["traits"], type=dict[str, msgspec.Raw])
        return Respondent(row["id"], await _known(connection, row["id"], held, stamps))


async def live_profiles(pool: asyncpg.Pool, ids: Iterable[str]) -> dict[str, str]:
    """The live profile that each id is or went into, by id; nobody's are left out."""
    return {row["given"]: row["id"] for row in await pool.fetch(_LIVE, list(set(ids)))}


async def known_of(connection: Connection, profile_id: str, documents: Documents) -> Known:
    """The same for a profile that is locked and loaded."""
    return await _known(connection, profile_id, documents.traits, documents.trait_times)


async def _known(
    connection: Connection, profile_id: str, held: Mapping[str, object], stamps: Mapping[str, Stamp]
) -> Known:
    known = Known(traits={name: int(whole_stamp(stamps[name])[1]) for name in held if name in stamps})
    for row in await connection.fetch(_TOLD, profile_id, MAX_EVENTS):
        named = _properties(row["payload"])
        if isinstance(named.survey, str) and isinstance(named.question, str):
            known.note(named.survey, named.question, row["event"], row["ts"])
    return known


def _properties(payload: str) -> _Named:
    try:
        return _payload.decode(payload).properties
    except msgspec.ValidationError:
        return _Named()  # a sender may put anything into a property
