"""Whether two workers do twice as much as one: the profile service and the segmenter over the partitions of one
Kafka.

    python -m tests.bench.bench_scale [--events 10000] [--turns 2] [--json FILE]

`headrace up` runs on a Kafka of its own with 12 partitions; a second process of the measured service joins it and
leaves in turns, and the other services stand still (SIGSTOP). The same number of records is appended at once,
straight to the service's input; the time is from the first append until the store has all of them, with one
worker and with two.

What it can show depends on the cores. The workers, Postgres or Redis, the broker and this process share them, and
whatever else runs: the limit of the ratio is what two workers could have done in the core seconds that these used
and in those that were left idle, beside what one did. Where the ratio is lower, they wait for each other. What
does not depend on the cores is CPU per record: with enough of them the ratio is two while that stays as with one
worker. A machine of two cores that are busy with the broker shows this, and not how far it goes: for that take
one with more.
"""

import asyncio
import os
import signal
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import asyncpg
import msgspec
import uvloop
from redis.asyncio import Redis

from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.topics import EVENTS, PROFILE_EVENTS, PROFILES_GROUP, SEGMENTER_GROUP, partition_of
from headrace.log.connect import connect_log
from headrace.log.port import Log, NewRecord
from services.segmenter import keys
from services.segmenter.commit import decode_mark
from tests.bench import cpu
from tests.bench.bench_profiles import records
from tests.bench.bench_segmenter import event_rows
from tests.bench.bench_stack import PATIENCE_SECONDS, apply_definitions
from tests.bench.report import Figure, Report, options, present
from tests.e2e.api import Api
from tests.e2e.crowd import Crowd
from tests.e2e.segmenter_rig import eventually
from tests.e2e.stack import Stack
from tests.kafka import admin
from tests.kafka.broker import Broker
from tests.kafka.cluster import single

PARTITIONS = 12
CUSTOMERS = 2_000
SEGMENTS = 20
BATCH = 500
_KNOWN = b'"userId":"'
Fed = Sequence[Sequence[NewRecord]]
"""Records by partition."""
Ends = Callable[[], Awaitable[Mapping[int, int]]]
"""Asks a store for the next offset of each partition."""


@dataclass
class Taken:
    """Records and seconds of some turns, the seconds for which cores were idle, and CPU seconds by process."""

    records: int = 0
    seconds: float = 0.0
    idle: float = 0.0
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def per_second(self) -> float:
        return self.records / self.seconds

    def per_thousand(self, *names: str) -> float:
        """CPU seconds per 1,000 records, of all processes or of those whose names begin so."""
        spent = sum(seconds for name, seconds in self.cpu.items() if not names or name.startswith(names))
        return 1_000 * spent / self.records


class Bench:
    """A stack whose measured service has one process or two."""

    def __init__(self, stack: Stack, broker: Broker, crowd: Crowd, log: Log) -> None:
        self._stack = stack
        self._broker = broker
        self._crowd = crowd
        self._log = log

    async def measure(
        self, service: str, group: str, topic: str, fed: Sequence[Fed], ends: Ends
    ) -> tuple[Taken, Taken]:
        """One worker and two, in turns over all that is fed."""
        alone, both = Taken(), Taken()
        for turn, part in enumerate(fed):
            if turn % 2 == 0:
                await self._turn(service, topic, part, ends, alone)
                continue
            self._crowd.join(f"{service}-2")
            await self._shared(group, 2)
            await self._turn(service, topic, part, ends, both)
            self._crowd.leave(f"{service}-2")
            await self._shared(group, 1)
        return alone, both

    def stand_still(self, *services: str) -> None:
        """Until the stack ends, which needs them awake again."""
        self._signal(signal.SIGSTOP, services)

    def go_on(self, *services: str) -> None:
        self._signal(signal.SIGCONT, services)

    def _signal(self, number: signal.Signals, services: Sequence[str]) -> None:
        for service in services:
            os.kill(self._stack.pids()[service], number)

    async def _shared(self, group: str, members: int) -> None:
        fair = [PARTITIONS // members] * members

        async def so() -> bool:
            found = await asyncio.to_thread(admin.shares, self._broker.address, group)
            return sorted(map(len, found)) == fair

        await eventually(so, PATIENCE_SECONDS)

    async def _turn(self, service: str, topic: str, part: Fed, ends: Ends, taken: Taken) -> None:
        wanted = {q: at + len(part[q]) for q, at in (await ends()).items()}
        idle, before, started = cpu.idle(), self._spent(service), time.perf_counter()
        await asyncio.gather(*(self._append(topic, q, batch) for q, batch in enumerate(part)))

        async def done() -> bool:
            return all(at >= wanted[q] for q, at in (await ends()).items())

        await eventually(done, PATIENCE_SECONDS)
        taken.seconds += time.perf_counter() - started
        taken.idle += cpu.idle() - idle
        taken.records += sum(map(len, part))
        for name, seconds in self._spent(service).items():
            taken.cpu[name] += seconds - before.get(name, 0)

    async def _append(self, topic: str, q: int, batch: Sequence[NewRecord]) -> None:
        for start in range(0, len(batch), BATCH):
            await self._log.append(topic, q, batch[start : start + BATCH])

    def _spent(self, service: str) -> dict[str, float]:
        pids = {name: pid for name, pid in self._stack.pids().items() if name in (service, "postgres", "state")}
        pids |= {"kafka": self._broker.pid, "load": os.getpid(), **self._crowd.pids()}
        return {name: cpu.seconds(pid) for name, pid in pids.items()}


def figures(service: str, alone: Taken, both: Taken, what: str) -> Iterator[Figure]:
    """Rates, their ratio beside what the cores left for it, and whether a record costs more with two."""
    yield Figure(f"{what}: 1 worker", alone.per_second(), "records/s")
    yield Figure(f"{what}: 2 workers", both.per_second(), "records/s")
    ratio, used = both.per_second() / alone.per_second(), sum(both.cpu.values())
    allowed = min(2.0, ratio * (used + both.idle) / used)
    yield Figure(f"{what}: times as fast", ratio, "", allowed, "what the cores left for it")
    yield Figure(f"{what}: cores free for 2 workers", (used + both.idle) / both.seconds, "cores")
    for name in (service, "postgres", "state"):
        one, two = alone.per_thousand(name), both.per_thousand(name)
        if one > 0.005:
            yield Figure(f"{what}: CPU of {name}", two, "s per 1,000", one, "with 1 worker")


def events(count: int, turns: int) -> dict[str, list[Fed]]:
    """The shop's events as ingest writes them, in parts of about `count` each: those that come with a user id, and
    then all of them. Of the latter some customers' come under several keys at once, in several partitions."""
    known, mixed = [], []
    for partition in records(round(2.5 * count) * turns, PARTITIONS):
        new = [NewRecord(one.key, one.value, one.headers) for one in partition]
        cut = len(new) * 3 // 5
        known.append([one for one in new[:cut] if _KNOWN in (one.value or b"")])
        mixed.append(new[cut:])
    return {"profiles": _parts(known, turns), "profiles, customers under several keys": _parts(mixed, turns)}


def rows(count: int, turns: int, last: Sequence[int]) -> list[Fed]:
    """What the profile service makes of as many, numbered behind the `last` row of each partition."""
    found: list[list[NewRecord]] = [[] for _ in range(PARTITIONS)]
    for row in event_rows(count * turns, CUSTOMERS):
        q = partition_of(row.profile_id, PARTITIONS)
        seq = last[q] + len(found[q]) + 1
        numbered = msgspec.structs.replace(row, seq=seq)
        headers = cloud_event(kind="profile.event.v1", event_id=f"1-{q}-{seq}", source="profiles")
        headers += store_output(source="profiles", epoch=1, seq=seq, position=str(seq))
        found[q].append(NewRecord(row.profile_id.encode(), msgspec.json.encode(numbered), headers))
    return _parts(found, turns)


def _parts(whole: Sequence[Sequence[NewRecord]], turns: int) -> list[Fed]:
    return [[one[len(one) * n // turns : len(one) * (n + 1) // turns] for one in whole] for n in range(turns)]


async def _profiles(bench: Bench, pool: asyncpg.Pool, given: Namespace) -> list[Figure]:
    async def ends() -> Mapping[int, int]:
        found = await pool.fetch("SELECT q, next_offset FROM profiles.input WHERE topic = $1", EVENTS.name)
        return {row["q"]: row["next_offset"] for row in found}

    bench.stand_still("segmenter", "messenger")
    found: list[Figure] = []
    for what, fed in events(given.events, 2 * given.turns).items():
        alone, both = await bench.measure("profiles", PROFILES_GROUP, EVENTS.name, fed, ends)
        found += figures("profiles", alone, both, what)
    bench.go_on("segmenter")
    return found


async def _segmenter(bench: Bench, pool: asyncpg.Pool, redis: Redis, given: Namespace) -> list[Figure]:
    async def marks() -> list[tuple[int, int]]:
        raw = cast(list[bytes | None], await redis.mget([keys.mark(q) for q in range(PARTITIONS)]))
        found = [decode_mark(each) for each in raw]
        return [(mark.seq, mark.offset) if mark is not None else (0, 0) for mark in found]

    async def ends() -> Mapping[int, int]:
        return dict(enumerate(offset for _, offset in await marks()))

    bench.stand_still("profiles")  # no row comes from there any more, and no tick
    last = [row["seq"] for row in await pool.fetch("SELECT next_seq - 1 AS seq FROM profiles.counter ORDER BY q")]

    async def read() -> bool:
        return [seq for seq, _ in await marks()] == last

    await eventually(read, PATIENCE_SECONDS)
    fed = rows(given.events, 2 * given.turns, last)
    alone, both = await bench.measure("segmenter", SEGMENTER_GROUP, PROFILE_EVENTS.name, fed, ends)
    return list(figures("segmenter", alone, both, "segmenter"))


async def measure(stack: Stack, broker: Broker, crowd: Crowd, given: Namespace) -> list[Figure]:
    log = await connect_log(broker.url, rollback_horizon_ms=600_000)
    pool = await asyncpg.create_pool(stack.setting("HEADRACE_DATABASE_URL"), min_size=1, max_size=2)
    redis = Redis.from_url(stack.setting("HEADRACE_REDIS_URL"))
    bench = Bench(stack, broker, crowd, log)
    try:
        found = [*await _profiles(bench, pool, given), *await _segmenter(bench, pool, redis, given)]
    finally:
        bench.go_on("profiles", "segmenter", "messenger")
        await redis.aclose()
        await pool.close()
        await log.close()
    return found


def run(given: Namespace) -> Report:
    with ExitStack() as context:
        broker = context.enter_context(single())
        env = {"HEADRACE_LOG_URL": broker.url, "HEADRACE_PARTITIONS": str(PARTITIONS)}
        stack = context.enter_context(Stack(env))
        crowd = context.enter_context(Crowd(Path(context.enter_context(TemporaryDirectory())), stack))
        api = Api(stack)
        apply_definitions(api, SEGMENTS)
        api.close()
        found = uvloop.run(measure(stack, broker, crowd, given))
    setting = f"{given.turns} turns of {given.events:,} records each, {PARTITIONS} partitions, {SEGMENTS} segments"
    return Report("scale", setting, found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="records of a turn")
    parser.add_argument("--turns", type=int, default=2, help="with one worker, and as many with two")
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
