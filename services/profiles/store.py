"""The profile service's Postgres: the deployment, the outbox, controls. `batch.py` commits the batches."""

from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.profile_event import ControlRequest, ControlRow, encode_row
from headrace.contracts.topics import partition_of
from headrace.log.port import NewRecord
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.postgres import connect_pool
from headrace.runtime.publisher import OutboxRecord, Published
from services.profiles.sequence import Counter, TimelineRow, control_row

SCHEMA = "profiles"
SERVICE = "profiles"
MIGRATIONS = Path(__file__).parent / "migrations"
PARTITIONER = 1
"""Version of `topics.partition_of`."""

Connection = asyncpg.pool.PoolConnectionProxy

LOCK_COUNTERS = """
    SELECT q, epoch, next_seq, time, low FROM counter WHERE q = ANY($1::int[]) ORDER BY q FOR UPDATE
"""
UPDATE_COUNTERS = """
    UPDATE counter SET next_seq = new.next_seq, time = new.time, low = new.low
    FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) AS new (q, next_seq, time, low)
    WHERE counter.q = new.q
"""


PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""Every statement looks up what it names. A plan that was made while a table was small and is kept would read all
of it when it has grown."""


class WrongDeployment(HeadraceError):
    """The database belongs to a deployment with another number of partitions or another partitioner."""


async def connect(database_url: str, *, max_size: int = 8) -> "asyncpg.Pool[asyncpg.Record]":
    """The pool of the worker and of what writes beside it. Raises StoreUnavailable."""
    return await connect_pool(database_url, schema=SCHEMA, max_size=max_size, settings=PLANS)


def rows_written(status: str) -> int:
    """How many rows an INSERT or UPDATE wrote, from what the server says at its end (`INSERT 0 5`)."""
    return int(status.rsplit(" ", 1)[1])


async def initialise(pool: asyncpg.Pool, topics: Sequence[str], partitions: int) -> None:
    """Create the positions of every partition, once, and check that the database is this deployment's.
    Raises WrongDeployment."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO deployment (partitions, partitioner) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            partitions,
            PARTITIONER,
        )
        found = await connection.fetchrow("SELECT partitions, partitioner FROM deployment")
        if found is None or tuple(found) != (partitions, PARTITIONER):
            raise WrongDeployment(
                f"the database was made for (partitions, partitioner) = {tuple(found or ())}, "
                f"this process has {(partitions, PARTITIONER)}: set HEADRACE_PARTITIONS as it was"
            )
        await connection.execute(
            "INSERT INTO input (topic, q, suppressing) SELECT t, q, EXISTS (SELECT FROM suppressed) "
            "FROM unnest($1::text[]) t, generate_series(0, $2 - 1) q "
            "ON CONFLICT DO NOTHING",
            list(topics),
            partitions,
        )
        await connection.execute(
            "INSERT INTO counter (q) SELECT generate_series(0, $1 - 1) ON CONFLICT DO NOTHING", partitions
        )


async def next_offset(pool: asyncpg.Pool, topic: str, q: int) -> int:
    """Where to read on."""
    return int(await pool.fetchval("SELECT next_offset FROM input WHERE topic = $1 AND q = $2", topic, q))


async def processed_until(pool: asyncpg.Pool, topic: str, q: int) -> int:
    """The time up to which the input is processed: no record before its position is younger."""
    return int(await pool.fetchval("SELECT time FROM input WHERE topic = $1 AND q = $2", topic, q))


async def lock_counters(connection: Connection, partitions: Sequence[int]) -> dict[int, Counter]:
    """Lock output partitions, ascending. Nothing else may be locked after them in the transaction."""
    rows = await connection.fetch(LOCK_COUNTERS, partitions)
    return {row["q"]: Counter(**row) for row in rows}


async def write_rows(connection: Connection, rows: Sequence[TimelineRow], counters: dict[int, Counter]) -> None:
    """Append rows to the timeline and move the counters behind them."""
    if not rows:
        return
    await connection.copy_records_to_table("timeline", records=rows, columns=TimelineRow._fields)
    heads = list(counters.values())
    await connection.execute(
        UPDATE_COUNTERS,
        [head.q for head in heads],
        [head.next_seq for head in heads],
        [head.time for head in heads],
        [head.low for head in heads],
    )


async def put_control(pool: asyncpg.Pool, request: ControlRequest, partitions: int) -> dict[int, int]:
    """Write one control row per partition concerned, once per `request.id`; return {partition: seq}."""
    touched = list(range(partitions))
    if request.profile_ids is not None:
        touched = sorted({partition_of(profile, partitions) for profile in request.profile_ids})
    async with pool.acquire() as connection, connection.transaction():
        created = await connection.fetchval(
            "INSERT INTO control (id, positions) VALUES ($1, '{}') ON CONFLICT DO NOTHING RETURNING id",
            request.id,
        )
        if created is None:
            stored = await connection.fetchval("SELECT positions FROM control WHERE id = $1", request.id)
            return msgspec.json.decode(stored, type=dict[int, int], strict=False)
        counters = await lock_counters(connection, touched)
        row = ControlRow(
            seq=0, epoch=0, time=0, low=0, id=request.id, control=request.kind, payload=request.payload
        )
        rows = [control_row(counter, row) for counter in counters.values()]
        await write_rows(connection, rows, counters)
        positions = {written.q: written.seq for written in rows}
        await connection.execute(
            "UPDATE control SET positions = $2 WHERE id = $1",
            request.id,
            msgspec.json.encode(positions).decode(),
        )
    return positions


class TimelineOutbox:
    """The timeline as `runtime.publisher.Outbox` of `cdp.profile-events`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        rows = await self._pool.fetch(
            "SELECT seq, epoch, time, low, profile_id, kind, traceparent, payload FROM timeline "
            "WHERE q = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            partition,
            after,
            limit,
        )
        return [_outbox_record(partition, row) for row in rows]

    async def published(self, partition: int) -> Published:
        row = await self._pool.fetchrow(
            "SELECT epoch, published_seq, published_offset FROM counter WHERE q = $1", partition
        )
        assert row is not None
        seq = row["published_seq"]
        return Published(row["epoch"], seq, str(seq) if seq else "", row["published_offset"])

    async def mark(self, partition: int, published: Published) -> None:
        """Raises PartitionHalted when the log holds numbers that Postgres never gave out."""
        marked = await self._pool.fetchval(
            "UPDATE counter SET published_seq = greatest(published_seq, $2), "
            "published_offset = greatest(published_offset, $3) WHERE q = $1 AND next_seq > $2 RETURNING q",
            partition,
            published.seq,
            published.next_offset,
        )
        if marked is None:
            raise PartitionHalted(
                f"the log holds row {published.seq} of output partition {partition}, Postgres does not: "
                "it lost commits, or was restored from a backup. Stop the services and run `headrace restored`"
            )


def _outbox_record(q: int, row: asyncpg.Record) -> OutboxRecord:
    seq, epoch, profile = row["seq"], row["epoch"], row["profile_id"]
    value = encode_row(seq=seq, epoch=epoch, time=row["time"], low=row["low"], payload=row["payload"].encode())
    headers = cloud_event(
        kind=f"profile.{row['kind']}.v1",
        event_id=f"{epoch}-{q}-{seq}",
        source=SERVICE,
        subject=profile or None,
        traceparent=row["traceparent"],
    )
    numbers = store_output(source=SERVICE, epoch=epoch, seq=seq, position=str(seq))
    return OutboxRecord(seq, str(seq), NewRecord(profile.encode() or None, value, headers + numbers))
