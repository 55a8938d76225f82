"""Segments in Postgres: their versions, what partitions report about them, and control records to send.

A change of a definition and the control record that carries it are one transaction; the record is sent to
the profile service by controls.py, in order, until it is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg
import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.segment import Definition
from headrace.contracts.trait import TraitDefinition
from services.segmenter.catalog import Version
from services.segmenter.references import LOCK, check_put, check_unused, owner_of, part_of_stages
from services.segmenter.stored_segment import Kind, Status, StoredSegment, stage_of, unknown_segment

_json = msgspec.json.Encoder(order="deterministic")

_SELECT = """
    SELECT s.id, s.version, s.state, v.name, v.kind, v.definition, v.created_at,
        (SELECT coalesce(sum(CASE WHEN p.ready THEN 1 ELSE p.done::float / greatest(p.total, 1) END), 0)
         FROM progress p WHERE p.id = s.id AND p.version = s.version) AS ready,
        (SELECT count(*) FROM progress p WHERE p.id = s.id AND p.version = s.version AND p.live) AS live
    FROM segment s JOIN segment_version v ON v.id = s.id AND v.version = s.version
    WHERE s.state <> 'deleted'
"""
_PAGE = f"""
    SELECT * FROM ({_SELECT} AND v.kind <> 'trait' AND s.id > $1 AND ($3::text IS NULL OR v.kind = $3)) found
    WHERE $4::text IS NULL
        OR $4 = CASE WHEN live < $5 THEN 'backfilling' WHEN state = 'paused' THEN 'paused' ELSE 'live' END
    ORDER BY id LIMIT $2
"""  # noqa: S608
_PROGRESS = """
    INSERT INTO progress (id, version, partition, live, ready)
    SELECT r.id, r.version, r.partition, r.live, true
    FROM unnest($1::text[], $2::int[], $3::int[], $4::bool[]) AS r (id, version, partition, live)
    JOIN segment_version USING (id, version)
    ON CONFLICT (id, version, partition) DO UPDATE SET live = progress.live OR excluded.live, ready = true
"""
_BACKFILLING = """
    INSERT INTO progress (id, version, partition, live, ready, done, total)
    SELECT r.id, r.version, r.partition, false, false, r.done, r.total
    FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
        AS r (id, version, partition, done, total)
    JOIN segment_version USING (id, version)
    ON CONFLICT (id, version, partition) DO UPDATE SET done = excluded.done, total = excluded.total
"""
_KNOWN = "SELECT version, state, definition FROM segment JOIN segment_version USING (id, version) WHERE id = $1"
_COMPLETE = """
    SELECT s.id, s.version FROM segment s JOIN progress p ON p.id = s.id AND p.version = s.version
    WHERE s.state <> 'deleted' AND p.ready
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
class Backfilling:
    """How many of a partition's customers a version has been prepared for."""

    segment_id: str
    version: int
    partition: int
    done: int
    total: int


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
        definition keeps its version. Raises InvalidDefinition or ApiError 409 for how it stands to the others."""
        text = _json.encode(definition.canonical()).decode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            known = await known_version(connection, definition.id)
            if known is not None and known["definition"] == text and known["state"] != "deleted":
                return int(known["version"])
            before = None if known is None or known["state"] == "deleted" else known
            await check_put(connection, self._partitions, definition, None if before is None else _parsed(before))
            version = 1 if known is None else int(known["version"]) + 1
            await store_version(connection, definition.id, definition, version, text)
        return version

    async def change(self, segment_id: str, control: Literal["pause", "resume", "delete"]) -> int:
        """Pause, resume or delete; return the version. Raises ApiError 404, or 409 to delete what others ask for
        and for a part of stages. Repeating it changes nothing."""
        if not _an_id(segment_id):
            raise unknown_segment(segment_id)
        state = {"pause": "paused", "resume": "active", "delete": "deleted"}[control]
        async with self._pool.acquire() as connection, connection.transaction():
            if control == "delete":
                await connection.execute(LOCK)
            known = await connection.fetchrow(
                "SELECT version, state FROM segment WHERE id = $1 AND state <> 'deleted' FOR UPDATE", segment_id
            )
            if known is None:
                stages = await owner_of(connection, segment_id)
                raise unknown_segment(segment_id) if stages is None else part_of_stages(segment_id, stages)
            if control == "delete":
                await self._let_go(connection, segment_id, known["version"])
            if known["state"] != state:
                await connection.execute(
                    "UPDATE segment SET state = $2, updated_at = now() WHERE id = $1", segment_id, state
                )
                await request(connection, control, segment_id, known["version"])
            return int(known["version"])

    async def _let_go(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", segment_id: str, version: int
    ) -> None:
        """Raises ApiError 409 when others ask for it; else its versions are of the past."""
        text = await connection.fetchval(
            "SELECT definition FROM segment_version WHERE id = $1 AND version = $2", segment_id, version
        )
        defined = {segment.id for segment in Version(version, text).parse().segments()}
        await check_unused(connection, self._partitions, defined, but=segment_id)
        await connection.execute("UPDATE segment_version SET gone = true WHERE id = $1", segment_id)

    async def get(self, segment_id: str) -> StoredSegment:
        """A definition, or a segment of stages. Raises ApiError 404."""
        if not _an_id(segment_id):
            raise unknown_segment(segment_id)
        row = await self._pool.fetchrow(f"{_SELECT} AND s.id = $1", segment_id)
        if row is not None:
            return self._stored(row)
        stages = await owner_of(self._pool, segment_id)
        if stages is None:
            raise unknown_segment(segment_id)
        return stage_of(await self.get(stages.id), segment_id)

    async def segment(self, segment_id: str) -> StoredSegment:
        """What has members of its own. Raises ApiError 404, and 409 for stages: their members are in each stage's
        segment."""
        found = await self.get(segment_id)
        if found.kind == "stages":
            names = ", ".join(found.segment_ids)
            raise ApiError(409, "several_segments", f"{segment_id} is of kind stages: ask for one of {names}.")
        return found

    async def page(
        self, after: str, limit: int, *, kind: Kind | None = None, status: Status | None = None
    ) -> Sequence[StoredSegment]:
        if "\0" in after:
            raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
        rows = await self._pool.fetch(_PAGE, after, limit, kind, status, self._partitions)
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
                await request(connection, "activate", segment_id, version)

    async def backfilling(self, parts: Sequence[Backfilling]) -> None:
        """Store how far partitions are with the versions that they prepare."""
        await self._pool.execute(
            _BACKFILLING,
            [part.segment_id for part in parts],
            [part.version for part in parts],
            [part.partition for part in parts],
            [part.done for part in parts],
            [part.total for part in parts],
        )

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
            kind=row["kind"],
            version=row["version"],
            name=row["name"],
            text=row["definition"],
            status=live if row["live"] >= self._partitions else "backfilling",
            progress=row["ready"] / self._partitions,
            updated_at=row["created_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )


def _an_id(text: str) -> bool:
    """Whether it may be a segment's: Postgres has no text with U+0000, and a colon is in the names of others."""
    return "\0" not in text and ":" not in text


async def known_version(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", key: str
) -> asyncpg.Record | None:
    """The newest version, the state and the definition of what is kept under `key`."""
    return await connection.fetchrow(_KNOWN, key)


async def store_version(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    key: str,
    definition: Definition | TraitDefinition,
    version: int,
    text: str,
) -> None:
    """Store a new version under `key`, with its control record."""
    await connection.execute(
        """INSERT INTO segment (id, version, state) VALUES ($1, $2, 'active')
           ON CONFLICT (id) DO UPDATE SET version = $2, state = 'active', updated_at = now()""",
        key,
        version,
    )
    await connection.execute(
        "INSERT INTO segment_version (id, version, kind, name, definition) VALUES ($1, $2, $3, $4, $5)",
        key,
        version,
        definition.kind,
        definition.name,
        text,
    )
    await request(connection, "define", key, version, definition=text)


def _parsed(row: asyncpg.Record) -> Definition:
    return Version(row["version"], row["definition"]).parse()


async def request(
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
