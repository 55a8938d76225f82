"""Survey definitions as stored: every version is kept, since answers name the one they were given to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import asyncpg
import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.survey import SurveyDefinition, parse_survey
from services.profiles.store import Connection

_CURRENT = """
    SELECT s.id, s.version, v.body::text AS body, s.updated_at
    FROM survey s JOIN survey_version v USING (id, version) WHERE NOT s.deleted
"""
_CLAIM = "INSERT INTO survey (id, version, deleted, updated_at) VALUES ($1, 0, true, $2) ON CONFLICT DO NOTHING"
_LOCK = """
    SELECT s.version, s.updated_at, NOT s.deleted AND v.body = $2::jsonb AS same
    FROM survey s LEFT JOIN survey_version v USING (id, version) WHERE s.id = $1 FOR UPDATE OF s
"""
_MOVE = "UPDATE survey SET version = $2, deleted = false, updated_at = $3 WHERE id = $1"
_KEEP = "INSERT INTO survey_version (id, version, body, at) VALUES ($1, $2, $3, $4)"
_DELETE = "UPDATE survey SET deleted = true, updated_at = $2 WHERE id = $1 AND NOT deleted RETURNING id"


@dataclass(frozen=True, slots=True)
class Stored:
    """A survey's current version."""

    definition: SurveyDefinition
    version: int
    updated_at: Millis


class Surveys:
    """Reads and writes definitions."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, definition: SurveyDefinition, now: Millis) -> Stored:
        """Store it as the next version; what is unchanged keeps its version."""
        body = msgspec.json.encode(definition.canonical()).decode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_CLAIM, definition.id, now)
            row = await connection.fetchrow(_LOCK, definition.id, body)
            assert row is not None, "claimed"
            if row["same"]:
                return Stored(definition, row["version"], row["updated_at"])
            version = row["version"] + 1
            await connection.execute(_KEEP, definition.id, version, body, now)
            await connection.execute(_MOVE, definition.id, version, now)
        return Stored(definition, version, now)

    async def get(self, survey_id: str) -> Stored | None:
        row = await self._pool.fetchrow(f"{_CURRENT} AND s.id = $1", survey_id)
        return None if row is None else _stored(row)

    async def page(self, after: str, limit: int) -> list[Stored]:
        """Those with an id greater than `after`, by id."""
        rows = await self._pool.fetch(f"{_CURRENT} AND s.id > $1 ORDER BY s.id LIMIT $2", after, limit)
        return [_stored(row) for row in rows]

    async def all(self) -> Sequence[SurveyDefinition]:
        """By id."""
        return [_stored(row).definition for row in await self._pool.fetch(f"{_CURRENT} ORDER BY s.id")]

    async def delete(self, survey_id: str, now: Millis) -> bool:
        """False when there is none. Its versions stay."""
        return await self._pool.fetchval(_DELETE, survey_id, now) is not None


async def surveys_named(connection: Connection, ids: Iterable[str]) -> dict[str, SurveyDefinition]:
    """Those of the surveys that there are, as the transaction sees them."""
    rows = await connection.fetch(f"{_CURRENT} AND s.id = ANY($1::text[])", sorted(set(ids)))
    return {row["id"]: _parsed(row["body"]) for row in rows}


@lru_cache(maxsize=256)
def _parsed(body: str) -> SurveyDefinition:
    return parse_survey(msgspec.json.decode(body))


def _stored(row: asyncpg.Record) -> Stored:
    return Stored(_parsed(row["body"]), row["version"], row["updated_at"])
