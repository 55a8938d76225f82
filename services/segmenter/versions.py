"""Every version that a segment ever had."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.segment import Definition
from services.segmenter.catalog import Version
from services.segmenter.references import owner_of, part_of_stages
from services.segmenter.stored_segment import unknown_segment

State = Literal["live", "pending", "superseded"]

_HIGHEST = 2**31 - 1
_SELECT = """
    WITH everywhere AS (
        SELECT max(version) AS version FROM (
            SELECT version FROM progress WHERE id = $1 AND live GROUP BY version HAVING count(*) >= $2
        ) complete
    )
    SELECT v.version, v.kind, v.name, v.definition, v.created_at,
        CASE WHEN v.gone THEN 'superseded'
             WHEN v.version = e.version THEN 'live'
             WHEN v.version = s.version THEN 'pending'
             ELSE 'superseded' END AS state
    FROM segment_version v JOIN segment s USING (id), everywhere e
    WHERE v.id = $1 AND v.version < $3 ORDER BY v.version DESC LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """`state`: the one that is evaluated and published on every partition is live, a newer one pending."""

    number: int
    kind: str
    name: str
    definition: dict[str, Any]
    created_at: str
    state: State


class Versions:
    """Also of a segment that was deleted: it can be restored."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int) -> None:
        self._pool = pool
        self._partitions = partitions

    async def page(self, segment_id: str, before: int | None, limit: int) -> Sequence[StoredVersion]:
        """The newest first, of those below `before`. Raises ApiError 404 for a segment that never was."""
        rows = await self._rows(segment_id, _HIGHEST if before is None else before, limit)
        if not rows:
            await self._require(segment_id)
        return [_stored(row) for row in rows]

    async def get(self, segment_id: str, number: int) -> StoredVersion:
        """Raises ApiError 404."""
        return _stored(await self._row(segment_id, number))

    async def definition(self, segment_id: str, number: int) -> Definition:
        """What it said. Raises ApiError 404."""
        row = await self._row(segment_id, number)
        return Version(number, row["definition"]).parse()

    async def _row(self, segment_id: str, number: int) -> asyncpg.Record:
        rows = await self._rows(segment_id, min(number, _HIGHEST - 1) + 1, 1)
        if not rows or rows[0]["version"] != number:
            await self._require(segment_id)
            known = f"/v1/segments/{segment_id}/versions"
            raise ApiError(
                404, "unknown_version", f"Segment {segment_id!r} has no version {number}; see GET {known}."
            )
        return rows[0]

    async def _require(self, segment_id: str) -> None:
        """Raises ApiError for a segment that never was, or is a part of stages."""
        if await self._rows(segment_id, _HIGHEST, 1):
            return
        stages = await owner_of(self._pool, segment_id)
        raise unknown_segment(segment_id) if stages is None else part_of_stages(segment_id, stages)

    async def _rows(self, segment_id: str, before: int, limit: int) -> list[asyncpg.Record]:
        if "\0" in segment_id or ":" in segment_id:  # no segment's id, and the first not even Postgres' text
            return []
        return await self._pool.fetch(_SELECT, segment_id, self._partitions, before, limit)


def _stored(row: asyncpg.Record) -> StoredVersion:
    return StoredVersion(
        number=row["version"],
        kind=row["kind"],
        name=row["name"],
        definition=msgspec.json.decode(row["definition"]),
        created_at=row["created_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        state=row["state"],
    )
