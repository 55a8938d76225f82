"""Segments in Postgres: their versions, what partitions report about them, and control records to send.

A change of a definition and the control record that carries it are one transaction; the record is sent to
the profile service by controls.py, in order, until it is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.segment import Definition

Status = Literal["backfilling", "live", "paused"]

_json = msgspec.json.Encoder(order="deterministic")

_SELECT = """
    SELECT s.id, s.version, s.state, v.name, v.definition, v.created_at,
        (SELECT count(*) FROM progress p WHERE p.id = s.id AND p.version = s.version) AS ready,
        (SELECT count(*) FROM progress p WHERE p.id = s.id AND p.version = s.version AND p.live) AS live
    FROM segment s JOIN segment_version v ON v.id = s.id AND v.version = s.version
    WHERE s.state <> 'deleted'
"""
_PROGRESS = """
    INSERT INTO progress (id, version, partition, live)
    SELECT r.id, r.version, r.partition, r.live
    FROM unnest($1::text[], $2::int[], $3::int[], $4::bool[]) AS r (id, version, partition, live)
    JOIN segment_version USING (id, version)
    ON CONFLICT (id, version, partition) DO UPDATE SET live = progress.live OR excluded.live
"""
_COMPLETE = """
    SELECT s.id, s.version FROM segment s JOIN progress p ON p.id = s.id AND p.version = s.version
    WHERE s.state <> 'deleted'
      AND NOT EXISTS (SELECT FROM control_request c WHERE c.id = 'activate:' || s.id || ':' || s.version)
    GROUP BY s.id, s.version HAVING count(*) = $1 ORDER BY s.id
"""


@dataclass(frozen=True, slots=True)
class Report:
    """A version is complete on a partition; `live`: it is the one published there."""

    segment_id: str
    version: int
    partition: int
    live: bool


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment's newest version. `progress` is the share of partitions on which it is complete."""

    id: str
    version: int
    name: str
    definition: dict[str, Any]
    status: Status
    progress: float
    updated_at: str


@dataclass(frozen=True, slots=True)
class WaitingControl:
    """A control record not yet taken by the profile service."""

    number: int
    id: str
    kind: str
    payload: bytes


class Definitions:
    """All of a segment's life but its members."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int) -> None:
        self._pool = pool
        self._partitions = partitions

    async def put(self, definition: Definition) -> int:
        """Store a definition as a new version, with its control record; return the version. An unchanged
        definition keeps its version."""
        text = _json.encode(definition.canonical()).decode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('segment:' || $1))", definition.id)
            known = await connection.fetchrow(
                """SELECT version, state, definition
                   FROM segment JOIN segment_version USING (id, version) WHERE id = $1""",
                definition.id,
            )
            if known is not None and known["definition"] == text and known["state"] != "deleted":
                return int(known["version"])
            version = 1 if known is None else int(known["version"]) + 1
            await connection.execute(
                """INSERT INTO segment (id, version, state) VALUES ($1, $2, 'active')
                   ON CONFLICT (id) DO UPDATE SET version = $2, state = 'active', updated_at = now()""",
                definition.id,
                version,
            )
            await connection.execute(
                "INSERT INTO segment_version (id, version, name, definition) VALUES ($1, $2, $3, $4)",
                definition.id,
                version,
                definition.name,
                text,
            )
            await _request(connection, "define", definition.id, version, definition=text)
        return version

    async def change(self, segment_id: str, control: Literal["pause", "resume", "delete"]) -> int:
        """Pause, resume or delete; return the version. Raises ApiError 404. Repeating it changes nothing."""
        if "\0" in segment_id:
            raise unknown_segment(segment_id)
        state = {"pause": "paused", "resume": "active", "delete": "deleted"}[control]
        async with self._pool.acquire() as connection, connection.transaction():
            known = await connection.fetchrow(
                "SELECT version, state FROM segment WHERE id = $1 AND state <> 'deleted' FOR UPDATE", segment_id
            )
            if known is None:
                raise unknown_segment(segment_id)
            if known["state"] != state:
                await connection.execute(
                    "UPDATE segment SET state = $2, updated_at = now() WHERE id = $1", segment_id, state
                )
                await _request(connection, control, segment_id, known["version"])
            return int(known["version"])

    async def get(self, segment_id: str) -> StoredSegment:
        """Raises ApiError 404."""
        if "\0" in segment_id:  # Postgres has no such text
            raise unknown_segment(segment_id)
        row = await self._pool.fetchrow(f"{_SELECT} AND s.id = $1", segment_id)
        if row is None:
            raise unknown_segment(segment_id)
        return self._stored(row)

    async def page(self, after: str, limit: int) -> Sequence[StoredSegment]:
        if "\0" in after:
            raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
        rows = await self._pool.fetch(f"{_SELECT} AND s.id > $1 ORDER BY s.id LIMIT $2", after, limit)
        return [self._stored(row) for row in rows]

    async def report(self, reports: Sequence[Report]) -> None:
        """Store what partitions report, and ask for the activation of what is now complete everywhere."""
        await self._pool.execute(
            _PROGRESS,
            [report.segment_id for report in reports],
            [report.version for report in reports],
            [report.partition for report in reports],
            [report.live for report in reports],
        )
        async with self._pool.acquire() as connection, connection.transaction():
            for segment_id, version in await connection.fetch(_COMPLETE, self._partitions):
                await _request(connection, "activate", segment_id, version)

    async def waiting(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
    ) -> list[WaitingControl]:
        """The control records to send, in order."""
        rows = await connection.fetch(
            "SELECT number, id, kind, payload FROM control_request WHERE NOT sent ORDER BY number LIMIT 100"
        )
        return [WaitingControl(number, key, kind, payload.encode()) for number, key, kind, payload in rows]

    def _stored(self, row: asyncpg.Record) -> StoredSegment:
        live: Status = "paused" if row["state"] == "paused" else "live"
        return StoredSegment(
            id=row["id"],
            version=row["version"],
            name=row["name"],
            definition=msgspec.json.decode(row["definition"]),
            status=live if row["live"] >= self._partitions else "backfilling",
            progress=row["ready"] / self._partitions,
            updated_at=row["created_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )


def unknown_segment(segment_id: str) -> ApiError:
    return ApiError(404, "unknown_segment", f"There is no segment {segment_id!r}; see GET /v1/segments.")


async def _request(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    kind: str,
    segment_id: str,
    version: int,
    *,
    definition: str | None = None,
) -> None:
    """Note a control record. Pausing and resuming may happen again and again: the record's own number is then
    part of its id."""
    payload = {"segment_id": segment_id, "version": version}
    text = _json.encode(payload).decode()
    if definition is not None:
        text = f'{text[:-1]},"definition":{definition}}}'
    key = f"{kind}:{segment_id}:{version}"
    if kind in {"pause", "resume"}:
        so_far = await connection.fetchval("SELECT count(*) FROM control_request")
        key = f"{key}:{so_far}"
    await connection.execute(
        "INSERT INTO control_request (id, kind, payload) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        key,
        kind,
        text,
    )
