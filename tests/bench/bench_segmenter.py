"""How many events a second of CPU the segmenter folds, with 10, 100 and 1,000 segments.

    python -m tests.bench.bench_segmenter [--segments 10 100 1000] [--events 20000] [--json FILE]

The service's own partition drives an embedded Valkey in batches as the worker reads them: decode, judge, load,
fold, commit. What is counted comes after a fifth of the events, when most customers are known. The limit decodes
the same records, reads what is kept of each customer in the batch and replaces it by the last record, unseen.
"""

import os
from argparse import Namespace
from collections.abc import Awaitable, Sequence
from typing import cast

import msgspec
import uvloop

from headrace.contracts.ids import profile_id
from headrace.contracts.profile_event import EventRow
from headrace.contracts.segment import parse_segment
from headrace.runtime.garbage import settle_garbage
from services.segmenter.catalog import Catalog, Slot, Version
from services.segmenter.commit import Commit, Incoming, Watermark
from services.segmenter.partition import Partition
from services.segmenter.paths import decode_row
from services.segmenter.redis_client import Client, connect
from services.segmenter.store import RedisStore
from services.segmenter.worker import MAX_RECORDS
from tests import engines
from tests.bench import cpu
from tests.bench.report import Figure, Report, options, present
from tests.bench.segments import definitions
from tests.bench.workload import Shop
from tests.unit.segmenter.memory import MemoryTimeline
from tests.unit.segmenter.recorder import Recorder

Q = 0
START = 1_790_000_000_000
PACE_MS = 30_000
"""Between two events of the partition: windows of hours and days pass while the benchmark runs."""
TURN = 4 * MAX_RECORDS


def catalog_of(segments: int) -> Catalog:
    """The definitions, live since before the first event."""
    slots = {}
    for document in definitions(segments):
        canonical = msgspec.json.encode(parse_segment(document).canonical()).decode()
        slots[document["id"]] = Slot(live=Version(1, canonical))
    return Catalog(slots)


def event_rows(events: int, customers: int) -> list[EventRow]:
    """What the profile service makes of the shop's events."""
    shop, encoder = Shop(customers), msgspec.json.Encoder()
    rows = []
    for number in range(events):
        call = shop.call()
        customer, at = call["anonymousId"].partition("-")[2], START + number * PACE_MS
        rows.append(
            EventRow(
                seq=number + 1,
                epoch=1,
                time=at,
                low=at,
                profile_id=profile_id("user_id", f"user-{customer}"),
                source="shop",
                message_id=call["messageId"],
                type=call["type"],
                ts=at,
                event=call.get("event"),
                properties=msgspec.Raw(encoder.encode(call.get("properties", {}))),
                context=msgspec.Raw(encoder.encode(call["context"])),
                traits=call.get("traits", {}),
                user_id=call["userId"],
                anonymous_id=call["anonymousId"],
                received_at=at,
            )
        )
    return rows


async def fold(partition: Partition, values: Sequence[bytes]) -> None:
    """As the worker does with what it reads."""
    for start in range(0, len(values), MAX_RECORDS):
        offset = partition.mark.offset
        batch = values[start : start + MAX_RECORDS]
        await partition.process([Incoming(decode_row(value), offset + n + 1) for n, value in enumerate(batch)])


async def keep_last(redis: Client, values: Sequence[bytes]) -> None:
    """The limit: no condition is looked at, and what is kept of a customer is the last record."""
    for start in range(0, len(values), MAX_RECORDS):
        batch = values[start : start + MAX_RECORDS]
        last = {row.profile_id: value for value in batch if isinstance(row := decode_row(value), EventRow)}
        await cast(Awaitable[list[bytes]], redis.hmget("bare", list(last)))
        await redis.hset("bare", mapping=dict(last.items()))


async def measure(url: str, segments: int, events: int, customers: int) -> list[Figure]:
    redis = connect(url, retries=0)
    try:
        await redis.flushall()
        server = int((await redis.info("server"))["process_id"])
        cpu.pin(server, cpu.server_core())
        cpu.pin(os.getpid(), cpu.client_core())
        values = [msgspec.json.encode(row) for row in event_rows(events, customers)]
        warm = events // 5
        store, mark = RedisStore(redis, redis), Watermark(epoch=1)
        await store.reset(Q, mark)
        await store.commit(Q, mark, Commit(mark, catalog=catalog_of(segments)))
        partition = await Partition.opened(Q, store, MemoryTimeline([[]]), Recorder())
        assert partition is not None
        settle_garbage()  # as the service does
        await fold(partition, values[:warm])

        ours, bare = cpu.Spent(server), cpu.Spent(server)
        transitions = partition.mark.transitions
        for start in range(warm, events, TURN):
            with ours.running():
                await fold(partition, values[start : start + TURN])
            with bare.running():
                await keep_last(redis, values[start : start + TURN])
        assert partition.mark.seq == events
        changes = (partition.mark.transitions - transitions) / (events - warm)
    finally:
        await redis.aclose()
    count = f"{segments} segments"
    counted, against = events - warm, "decode, keep the last record"
    return [
        Figure(count, counted / ours.total, "events/CPU-s", counted / bare.total, against),
        Figure(f"{count}, Redis excluded", counted / ours.own, "events/CPU-s", counted / bare.own, against),
        Figure(f"{count}: transitions", changes, "an event"),
    ]


def run(arguments: Namespace) -> Report:
    figures: list[Figure] = []
    with engines.valkey() as engine:
        for segments in arguments.segments:
            figures += uvloop.run(measure(engine.url, segments, arguments.events, arguments.customers))
    setting = f"{arguments.events:,} events, {arguments.customers:,} customers, batches of {MAX_RECORDS}"
    return Report("segmenter", setting, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--segments", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--customers", type=int, default=2_000)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
