"""How many events a second become rows of the timeline, beside COPY and one upsert of the same rows.

    python -m tests.bench.bench_profiles [--events 30000] [--identifiers 1000000] [--json FILE]

The service's own loop (`input.Input`: decode, deduplicate, resolve, fold, write) drives an embedded Postgres in
batches as it reads them; only the log is a list in memory. The limit then writes the very rows that came out, in
batches of the same size, to a table with the timeline's indexes: COPY to a temporary table, one upsert from it.
The last figures are of as many events again after a million identifiers of others were planted.
Postgres does not fsync, so that the disk is no part of either; CPU seconds of both sides are counted.
"""

import asyncio
import os
from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec
import uvloop

from headrace.contracts.event import Event, event_key
from headrace.contracts.instant import format_instant
from headrace.contracts.topics import partition_of
from headrace.log.port import Bounds, Record
from headrace.runtime.clock import now_ms
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.metrics import Metrics
from headrace.runtime.migrations import migrate
from services.profiles.input import READ_RECORDS, Input
from services.profiles.intake import event_reader
from services.profiles.store import MIGRATIONS, SCHEMA, connect, initialise
from tests import engines
from tests.bench import cpu
from tests.bench.report import Figure, Report, options, present
from tests.bench.workload import Shop
from tests.e2e.profiles_rig import Owner
from tests.unit.ingest.memory_log import MemoryLog

TOPIC = "cdp.events.v1"
PARTITIONS = 4
CUSTOMERS = 5_000
TURNS = 4
_COLUMNS = (
    "q, seq, epoch, time, low, profile_id, kind, event, ts, source, message_id, traceparent, payload, "
    "identifiers, stated"
)


class _Feed(MemoryLog):
    """One partition's records, and a signal when all of them were read and asked for more."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__()
        self._fed = records
        self.drained = asyncio.Event()

    async def bounds(self, topic: str, partition: int) -> Bounds:
        return Bounds(0, len(self._fed))

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        if offset >= len(self._fed):
            self.drained.set()
            await asyncio.Event().wait()
        return list(self._fed[offset : offset + max_records])


def records(count: int, among: int = PARTITIONS, shop: Shop | None = None) -> list[list[Record]]:
    """Events of a shop as ingest wrote them, by partition, of which there are `among`."""
    shop, encoder, now = shop or Shop(CUSTOMERS), msgspec.json.Encoder(), now_ms()
    partitions: list[list[Record]] = [[] for _ in range(among)]
    for number in range(count):
        call = shop.call()
        at = format_instant(now - count + number)
        event = Event(
            type=call["type"],
            message_id=call["messageId"],
            source="shop",
            timestamp=at,
            received_at=at,
            user_id=call["userId"],
            anonymous_id=call["anonymousId"],
            event=call.get("event"),
            properties=msgspec.Raw(encoder.encode(call.get("properties", {}))),
            traits=msgspec.Raw(encoder.encode(call.get("traits", {}))),
            context=msgspec.Raw(encoder.encode(call["context"])),
        )
        key = event_key(event.user_id, event.anonymous_id, None)
        q = partition_of(key, among)
        partitions[q].append(Record(TOPIC, q, len(partitions[q]), now, key.encode(), encoder.encode(event), ()))
    return partitions


async def apply(pool: asyncpg.Pool, fed: Sequence[Sequence[Record]]) -> None:
    """Each partition through the service's loop, side by side as in a worker."""
    metrics, member = Metrics("profiles"), Owner(range(PARTITIONS))
    feeds = [_Feed(partition) for partition in fed]
    running = [
        asyncio.create_task(
            Input(
                feed,
                pool,
                member,
                metrics,
                topic=TOPIC,
                q=q,
                partitions=PARTITIONS,
                read=event_reader("CZ"),
                dead_letters="cdp.dead-letters.v1",
                on_commit=lambda touched: None,
            ).run()
        )
        for q, feed in enumerate(feeds)
    ]
    drained = asyncio.create_task(_all_drained(feeds))
    await asyncio.wait([drained, *running], return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        if task.done():
            task.result()  # a loop ends only by an error
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _all_drained(feeds: Sequence[_Feed]) -> None:
    for feed in feeds:
        await feed.drained.wait()


async def copy_and_upsert(pool: asyncpg.Pool, rows: Sequence[Sequence[tuple[object, ...]]]) -> None:
    """The limit: the same rows, as many a transaction, as many connections."""

    async def write(partition: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(partition), READ_RECORDS):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("CREATE TEMP TABLE incoming (LIKE bare_timeline) ON COMMIT DROP")
                await connection.copy_records_to_table("incoming", records=partition[start : start + READ_RECORDS])
                await connection.execute(
                    f"INSERT INTO bare_timeline SELECT {_COLUMNS} FROM incoming "
                    "ON CONFLICT (q, seq) DO UPDATE SET payload = excluded.payload"
                )

    await asyncio.gather(*(write(partition) for partition in rows))


async def new_rows(pool: asyncpg.Pool) -> list[list[tuple[object, ...]]]:
    """The timeline's rows that are not in the bare table yet, by partition."""
    query = f"SELECT {_COLUMNS} FROM timeline WHERE q = $1 AND seq > $2 ORDER BY seq"
    written = "SELECT coalesce(max(seq), 0) FROM bare_timeline WHERE q = $1"
    return [
        [tuple(row) for row in await pool.fetch(query, q, await pool.fetchval(written, q))]
        for q in range(PARTITIONS)
    ]


_PLANT_PROFILES = """
    INSERT INTO profile (id, user_id, first_seen, last_seen)
    SELECT md5('planted' || n), 'planted-' || n, 1, 1 FROM generate_series(1, $1) AS n
"""
_PLANT_IDENTIFIERS = """
    INSERT INTO identifier (type, value, profile_id, first_seen, last_seen, source)
    SELECT type, 'planted-' || n, md5('planted' || n), 1, 1, 'shop'
    FROM generate_series(1, $1) AS n, unnest('{user_id, anonymous_id}'::text[]) AS type
"""


async def plant(pool: asyncpg.Pool, identifiers: int) -> None:
    """Others, with two identifiers each."""
    async with pool.acquire() as connection:
        for statement in (_PLANT_PROFILES, _PLANT_IDENTIFIERS):
            await connection.execute(statement, identifiers // 2, timeout=600)
        await connection.execute("VACUUM ANALYZE")


class _Measured(NamedTuple):
    ours: cpu.Spent
    bare: cpu.Spent
    rows: int


async def _turns(
    pool: asyncpg.Pool, server: int, fed: Sequence[Sequence[Record]], turns: Sequence[int]
) -> _Measured:
    """Apply the records up to each turn's part of them, and write what came of it bare."""
    ours, bare, count = cpu.Spent(server), cpu.Spent(server), 0
    for turn in turns:
        with ours.running():
            await apply(pool, [partition[: len(partition) * turn // (2 * TURNS)] for partition in fed])
        rows = await new_rows(pool)
        with bare.running():
            await copy_and_upsert(pool, rows)
        count += sum(map(len, rows))
    return _Measured(ours, bare, count)


async def measure(url: str, events: int, identifiers: int) -> Report:
    await migrate(url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect(url, max_size=12)
    try:
        await initialise(pool, [TOPIC], PARTITIONS)
        settle_garbage()  # as a service does
        server = cpu.parent(await pool.fetchval("SELECT pg_backend_pid()"))
        cpu.pin(server, cpu.server_core())
        cpu.pin(os.getpid(), cpu.client_core())
        fed = records(2 * events)
        await pool.execute("CREATE TABLE bare_timeline (LIKE timeline INCLUDING ALL)")
        few = await _turns(pool, server, fed, range(1, TURNS + 1))
        await plant(pool, identifiers)
        many = await _turns(pool, server, fed, range(TURNS + 1, 2 * TURNS + 1))
    finally:
        await pool.close()
    figures = [*_figures(few, ""), *_figures(many, f", {identifiers:,} identifiers")]
    setting = (
        f"2 x {events:,} events, {few.rows + many.rows:,} rows, {CUSTOMERS:,} customers, "
        f"batches of up to {READ_RECORDS}"
    )
    return Report("profiles", setting, figures)


def _figures(found: _Measured, where: str) -> list[Figure]:
    ours, bare, count = found
    against = "COPY and one upsert"
    return [
        Figure(f"rows per second{where}", count / ours.took, "rows/s", count / bare.took, against),
        Figure(f"Postgres included{where}", count / ours.total, "rows/CPU-s", count / bare.total, against),
        Figure(f"Postgres excluded{where}", count / ours.own, "rows/CPU-s", count / bare.own, against),
        Figure(f"Postgres alone{where}", count / ours.servers, "rows/CPU-s", count / bare.servers, against),
    ]


def run(arguments: Namespace) -> Report:
    with engines.postgres() as engine:
        return uvloop.run(measure(engine.url, arguments.events, arguments.identifiers))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--identifiers", type=int, default=1_000_000)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
