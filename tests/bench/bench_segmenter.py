"""How many events a second of CPU the segmenter folds, and what it keeps of a customer, by the number of segments.

    python -m tests.bench.bench_segmenter [--touched 10 100 1000 10000] [--mixed 10 100 1000] [--json FILE]

`touched`: ten segments that an event touches, and others that it cannot. `mixed`: all of them may be touched, and
the more there are, the more a customer enters and leaves. The service's own partition drives an embedded Valkey in
batches as the worker reads them: decode, judge, load, fold, commit. What is counted comes after a fifth of the
events, when most customers are known; numbers of segments take turns. The limit decodes the same records, reads
what is kept of each customer in the batch and replaces it by the last record, unseen.
"""

import os
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import uvloop

from headrace.contracts.ids import profile_id
from headrace.contracts.profile_event import EventRow
from headrace.contracts.segment import parse_segment
from headrace.runtime.garbage import settle_garbage
from services.segmenter import keys
from services.segmenter.catalog import Catalog, Slot, Version
from services.segmenter.commit import Commit, Incoming, Watermark
from services.segmenter.history import plan_of
from services.segmenter.partition import Partition
from services.segmenter.paths import decode_row
from services.segmenter.redis_client import Client, connect
from services.segmenter.store import RedisStore
from services.segmenter.worker import MAX_RECORDS
from tests import engines
from tests.bench import cpu
from tests.bench.report import Figure, Report, options, present
from tests.bench.segments import definitions, ten_touched
from tests.bench.workload import Shop
from tests.unit.segmenter.memory import MemoryTimeline
from tests.unit.segmenter.recorder import Recorder

Q = 0
START = 1_790_000_000_000
PACE_MS = 30_000
"""Between two events of the partition: windows of hours and days pass while the benchmark runs."""
TURN = 4 * MAX_RECORDS


@dataclass
class Contender:
    """A partition with some number of segments, the seconds it took, and its transitions when counting began."""

    segments: int
    partition: Partition
    spent: cpu.Spent
    transitions: int = 0


def catalog_of(documents: Sequence[dict[str, Any]]) -> Catalog:
    """The definitions, live since before the first event."""
    slots = {}
    for document in documents:
        canonical = msgspec.json.encode(parse_segment(document).canonical()).decode()
        slots[document["id"]] = Slot(live=Version(1, canonical))
    return Catalog(slots)


def event_rows(events: int, customers: int) -> list[EventRow]:
    """What the profile service makes of the shop's events: of traits, what is news."""
    shop, encoder = Shop(customers), msgspec.json.Encoder()
    known: dict[str, dict[str, Any]] = {}
    rows = []
    for number in range(events):
        call = shop.call()
        customer, at = call["anonymousId"].partition("-")[2], START + number * PACE_MS
        traits = known.setdefault(customer, {})
        news = {key: value for key, value in call.get("traits", {}).items() if traits.get(key) != value}
        traits.update(news)
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
                traits=news,
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


async def contender(redis: Client, server: int, q: int, catalog: Catalog) -> Contender:
    """A partition of its own, set up with these definitions."""
    store, mark = RedisStore(redis, redis), Watermark(epoch=1)
    await store.reset(q, mark)
    await store.commit(q, mark, Commit(mark, catalog=catalog))
    partition = await Partition.opened(q, store, MemoryTimeline([[]]), Recorder())
    assert partition is not None
    return Contender(len(catalog.slots), partition, cpu.Spent(server))


async def measure(url: str, kind: str, counts: Sequence[int], events: int, customers: int) -> list[Figure]:
    redis = connect(url, retries=0)
    try:
        await redis.flushall()
        server = int((await redis.info("server"))["process_id"])
        cpu.pin(server, cpu.server_core())
        cpu.pin(os.getpid(), cpu.client_core())
        values = [msgspec.json.encode(row) for row in event_rows(events, customers)]
        catalogs = [catalog_of(_KINDS[kind](count)) for count in counts]
        them = [await contender(redis, server, q, catalog) for q, catalog in enumerate(catalogs)]
        bare = await in_turns(redis, server, them, values)
        kept = [await figures_kept(redis, q, one) for q, one in enumerate(them)]
    finally:
        await redis.aclose()
    counted = events - events // 5
    figures: list[Figure] = []
    for one, of_customer, catalog in zip(them, kept, catalogs, strict=True):
        name = f"{kind}, {one.segments:,} segments"
        figures += _rates(name, counted, one.spent, bare)
        if one is not them[0]:
            first = f"at {them[0].segments:,} segments"
            cost, least = (contender.spent.total / counted * 1e6 for contender in (one, them[0]))
            figures.append(Figure(f"{name}: an event", cost, "CPU-µs", least, first))
        moved = one.partition.mark.transitions - one.transitions
        figures.append(Figure(f"{name}: transitions", moved / counted, "an event"))
        figures += [msgspec.structs.replace(figure, name=f"{name}: {figure.name}") for figure in of_customer]
        figures.append(Figure(f"{name}: compiled in", _compiled(catalog), "CPU-s"))
    return figures


async def in_turns(redis: Client, server: int, them: Sequence[Contender], values: Sequence[bytes]) -> cpu.Spent:
    """Fold all the values in each partition, counting from a fifth on; return what the limit took."""
    warm, bare = len(values) // 5, cpu.Spent(server)
    settle_garbage()  # as the service does
    for one in them:
        await fold(one.partition, values[:warm])
        one.transitions = one.partition.mark.transitions
    for start in range(warm, len(values), TURN):
        for one in them:
            with one.spent.running():
                await fold(one.partition, values[start : start + TURN])
        with bare.running():
            await keep_last(redis, values[start : start + TURN])
    assert all(one.partition.mark.seq == len(values) for one in them)
    return bare


async def figures_kept(redis: Client, q: int, one: Contender) -> list[Figure]:
    """What Redis holds of the partition's customers, and of all of the partition, by customer."""
    customers = keys.customers(q)
    known = await redis.hlen(customers)
    state = await redis.memory_usage(customers, samples=0) or 0
    names = [name async for name in redis.scan_iter(match=keys.key(q, "*"), count=1_000)]
    every = sum([await redis.memory_usage(name, samples=0) or 0 for name in names])
    waiting = await redis.memory_usage(keys.outbox(q, one.partition.mark.epoch), samples=0) or 0
    catalog = await redis.memory_usage(keys.catalog(q)) or 0
    return [
        Figure("state", state / known, "B/customer"),
        Figure("with deadlines and members", (every - waiting - catalog) / known, "B/customer"),
    ]


def _rates(name: str, counted: int, spent: cpu.Spent, bare: cpu.Spent) -> list[Figure]:
    against = "decode, keep the last record"
    return [
        Figure(name, counted / spent.total, "events/CPU-s", counted / bare.total, against),
        Figure(f"{name}, Redis excluded", counted / spent.own, "events/CPU-s", counted / bare.own, against),
    ]


def _compiled(catalog: Catalog) -> float:
    """What a change of the definitions costs: they are parsed already."""
    started = time.process_time()
    plan_of(catalog)
    return time.process_time() - started


_KINDS: Mapping[str, Callable[[int], list[dict[str, Any]]]] = {"touched": ten_touched, "mixed": definitions}


def run(arguments: Namespace) -> Report:
    figures: list[Figure] = []
    with engines.valkey() as engine:
        for kind, counts in (("touched", arguments.touched), ("mixed", arguments.mixed)):
            if counts:
                figures += uvloop.run(measure(engine.url, kind, counts, arguments.events, arguments.customers))
    setting = f"{arguments.events:,} events, {arguments.customers:,} customers, batches of {MAX_RECORDS}"
    return Report("segmenter", setting, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--touched", type=int, nargs="*", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--mixed", type=int, nargs="*", default=[10, 100, 1_000])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--customers", type=int, default=2_000)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
