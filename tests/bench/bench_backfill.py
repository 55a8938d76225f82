"""How long a new segment takes to be live over a long history, and what the stream notices of it.

    python -m tests.bench.bench_backfill [--events 1000000] [--customers 100000] [--rate 2000] [--json FILE]

The history lies in an embedded Postgres, its state is folded into an embedded Valkey under the definitions of a
shop. Then a segment is defined that counts events of a name that nobody has counted so, in a window with a filter,
while events go on arriving at `rate` a second. All partitions work in one process, as the service's: each takes
what has arrived, commits it, and prepares the next customers. Once every partition is ready the segment is
activated. An event's delay is from its arrival to its commit.
"""

import asyncio
import random
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import asyncpg
import msgspec
import uvloop

from headrace.contracts.profile_event import encode_row
from headrace.contracts.segment import parse_segment
from headrace.contracts.topics import partition_of
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from services.profiles.store import MIGRATIONS, SCHEMA
from services.segmenter.commit import Commit, Incoming, Watermark
from services.segmenter.partition import Partition
from services.segmenter.paths import decode_row
from services.segmenter.redis_client import Client, connect
from services.segmenter.store import RedisStore
from services.segmenter.timeline import PostgresTimeline
from services.segmenter.worker import MAX_RECORDS
from tests import engines
from tests.bench.bench_segmenter import catalog_of
from tests.bench.report import Figure, Report, options, present
from tests.bench.segments import definitions
from tests.bench.workload import CATEGORIES, Shop
from tests.unit.segmenter.recorder import Recorder

PARTITIONS = 4
SEGMENTS = 10
START = 1_790_000_000_000
PACE_MS = 2_000
"""Between two events of the shop: a million are 23 days."""
NEW: dict[str, Any] = {
    "kind": "segment",
    "id": "new",
    "name": "New",
    "when": {
        "event": {
            "name": "Product Viewed",
            "where": [{"path": "properties.category", "in": CATEGORIES[:20]}],
            "count": {"gte": 2},
            "within": "20d",
        }
    },
}
SLICE = 50_000
_COLUMNS = ["q", "seq", "epoch", "time", "low", "profile_id", "kind", "event", "ts", "payload"]
_encode = msgspec.json.Encoder().encode

Stored = tuple[int, int, int, int, int, str, str, str | None, int | None, str]


class Rows:
    """What the profile service would write: dense numbers by partition, one clock."""

    def __init__(self, customers: int) -> None:
        self._ids = [f"p{number:07d}" for number in range(customers)]
        self._homes = [partition_of(key, PARTITIONS) for key in self._ids]
        self._random = random.Random(3)
        shop = Shop(customers)
        calls = (shop.call() for _ in range(20_000))
        self._bodies = [(call["event"], _encode(call["properties"])) for call in calls if call["type"] == "track"]
        self._number = 0
        self.seqs = [0] * PARTITIONS

    def events(self, count: int) -> Iterator[Stored]:
        """The next events, each of anybody."""
        for _ in range(count):
            self._number += 1
            who = self._random.randrange(len(self._ids))
            name, properties = self._bodies[self._random.randrange(len(self._bodies))]
            at, profile_id = START + self._number * PACE_MS, self._ids[who]
            document = {
                "kind": "event",
                "profile_id": profile_id,
                "source": "shop",
                "message_id": f"5f2b8b2e-6f0e-4f6b-9d3e-{self._number:012d}",
                "type": "track",
                "ts": at,
                "event": name,
                "properties": msgspec.Raw(properties),
                "user_id": f"user-{who}",
                "received_at": at,
            }
            payload = _encode(document).decode()
            yield self._row(self._homes[who], at, profile_id, "event", name, at, payload)

    def control(self, q: int, kind: str) -> Stored:
        """A row about the new segment."""
        payload: dict[str, Any] = {"segment_id": NEW["id"], "version": 1}
        if kind == "define":
            payload["definition"] = parse_segment(NEW).canonical()
        document = {"kind": "control", "id": kind, "control": kind, "payload": payload}
        return self._row(q, self._now, "", "control", None, None, _encode(document).decode())

    @property
    def _now(self) -> int:
        return START + self._number * PACE_MS

    def _row(
        self, q: int, at: int, profile_id: str, kind: str, name: str | None, ts: int | None, payload: str
    ) -> Stored:
        self.seqs[q] += 1
        return q, self.seqs[q], 1, at, at, profile_id, kind, name, ts, payload


@dataclass
class Worker:
    """One partition as the service drives it. `waiting` has what has arrived: when, and the record's value."""

    partition: Partition
    waiting: list[tuple[float, bytes]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Take turns between what arrives and what is to be prepared."""
        while not stop.is_set():
            idle = not self.waiting
            await self.take()
            if not await self.partition.backfill():
                self.ready.set()
                if idle:
                    await asyncio.sleep(0.001)

    async def take(self) -> None:
        """Fold what has arrived, a batch at most."""
        batch = self.waiting[:MAX_RECORDS]
        if batch:
            del self.waiting[: len(batch)]
            await process(self.partition, [value for _, value in batch])
            done = time.perf_counter()
            self.delays += [done - arrived for arrived, _ in batch]


class Bench:
    """The parts that work together."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", rows: Rows, workers: Sequence[Worker]) -> None:
        self._pool = pool
        self._rows = rows
        self._workers = workers

    async def past(self, events: int) -> None:
        """A past that is stored and folded."""
        for start in range(0, events, SLICE):
            values = await self._written(self._rows.events(min(SLICE, events - start)))
            for worker, own in zip(self._workers, values, strict=True):
                for begin in range(0, len(own), MAX_RECORDS):
                    await process(worker.partition, own[begin : begin + MAX_RECORDS])
        await self._pool.execute("ANALYZE profiles.timeline")

    async def prepared(self, rate: int) -> tuple[float, float]:
        """Define the segment and wait until all partitions are ready, while events arrive; return the seconds, and
        those of this process's CPU."""
        started, busy = time.perf_counter(), time.process_time()
        await self.controlled("define")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as running:
            for one in self._workers:
                running.create_task(one.run(stop))
            running.create_task(self._arrive(rate, stop))
            for one in self._workers:
                await one.ready.wait()
            took, busy = time.perf_counter() - started, time.process_time() - busy
            stop.set()
        return took, busy

    async def controlled(self, kind: str) -> float:
        """Have all partitions apply a control row, at the same time as in one process; return the seconds."""
        rows = [self._rows.control(q, kind) for q in range(PARTITIONS)]
        values = await self._written(rows)
        started = time.perf_counter()
        await asyncio.gather(
            *(process(one.partition, own) for one, own in zip(self._workers, values, strict=True))
        )
        return time.perf_counter() - started

    async def _arrive(self, rate: int, stop: asyncio.Event) -> None:
        """Let events arrive, ten times a second."""
        due = time.perf_counter()
        while not stop.is_set():
            for worker, own in zip(self._workers, await self._written(self._rows.events(rate // 10)), strict=True):
                worker.waiting += [(due, value) for value in own]
            due += 0.1
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _written(self, rows: Iterable[Stored]) -> list[list[bytes]]:
        """Write rows to the timeline; return their records by partition."""
        written = list(rows)
        await self._pool.copy_records_to_table(
            "timeline", schema_name="profiles", columns=_COLUMNS, records=written
        )
        values: list[list[bytes]] = [[] for _ in self._workers]
        for row in written:
            values[row[0]].append(value_of(row))
        return values


async def process(partition: Partition, values: Sequence[bytes]) -> None:
    offset = partition.mark.offset
    await partition.process([Incoming(decode_row(value), offset + n + 1) for n, value in enumerate(values)])


def value_of(row: Stored) -> bytes:
    """The record that is published of a row."""
    _, seq, epoch, at, low, *_, payload = row
    return encode_row(seq=seq, epoch=epoch, time=at, low=low, payload=payload.encode())


async def workers(redis: Client, pool: "asyncpg.Pool[asyncpg.Record]") -> list[Worker]:
    store, timeline, found = RedisStore(redis, redis), PostgresTimeline(pool), []
    for q in range(PARTITIONS):
        mark = Watermark(epoch=1)
        await store.reset(q, mark)
        await store.commit(q, mark, Commit(mark, catalog=catalog_of(definitions(SEGMENTS))))
        partition = await Partition.opened(q, store, timeline, Recorder())
        assert partition is not None
        found.append(Worker(partition))
    return found


async def measure(database: str, redis_url: str, given: Namespace) -> list[Figure]:
    await migrate(database, schema=SCHEMA, scripts=MIGRATIONS)
    pool, redis = await connect_pool(database, schema=SCHEMA), connect(redis_url, retries=0)
    try:
        them = await workers(redis, pool)
        bench = Bench(pool, Rows(given.customers), them)
        await bench.past(given.events)
        settle_garbage()  # as the service does
        took, busy = await bench.prepared(given.rate)
        delays = sorted(delay * 1_000 for one in them for delay in one.delays)
        for one in them:
            while one.waiting:
                await one.take()
        pause = await bench.controlled("activate")
        entered = sum(one.partition.mark.transitions for one in them)
    finally:
        await redis.aclose()
        await pool.close()
    steps = quantiles(delays, n=100)
    return [
        Figure("prepared on all partitions", took, "s"),
        Figure("busy meanwhile, the load included", busy, "CPU-s"),
        Figure("events of the history", given.events / took, "events/s"),
        Figure("events folded meanwhile", len(delays) / took, "events/s", given.rate, "what arrived"),
        Figure("their delay, median", steps[49], "ms"),
        Figure("their delay, 99 of 100", steps[98], "ms"),
        Figure("their delay, longest", delays[-1], "ms"),
        Figure("activated, the stream waiting", pause, "s"),
        Figure("live in", took + pause, "s"),
        Figure("transitions until then", entered, "", None, ""),
    ]


def run(given: Namespace) -> Report:
    with engines.valkey() as valkey, engines.postgres() as postgres:
        figures = uvloop.run(measure(postgres.url, valkey.url, given))
    setting = (
        f"{given.events:,} events of {given.customers:,} customers, {SEGMENTS} segments, {given.rate:,}/s more"
    )
    return Report("backfill", setting, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=2_000)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
