"""Three bugs of naive designs, planted into a running service: the suite must find each.

    python -m tests.faults.planted BUG up        the platform, with the service that has the bug
    python -m tests.faults.planted BUG SERVICE   that service

| bug | what it does | what holds in the product |
| --- | --- | --- |
| `multi` | the segmenter commits with MULTI on a client that repeats after a lost reply | a script that compares |
| `serial` | a row's number is drawn at its insert, published when in sight | counters locked until the commit |
| `clock` | the segmenter's timers follow the wall clock | they follow `low` |
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec

from headrace.cli.main import main as headrace
from headrace.contracts.instant import Millis
from headrace.local import services as supervised
from headrace.runtime.clock import now_ms
from headrace.runtime.publisher import OutboxRecord, Published, Relay
from services.profiles import batch as profile_batch
from services.profiles import main as profiles_main
from services.profiles import store as profile_store
from services.profiles.batch import Batch
from services.profiles.fold import Draft
from services.profiles.sequence import Counter, TimelineRow, assign, partitions_of
from services.segmenter import keys
from services.segmenter import main as segmenter_main
from services.segmenter import outbox as segmenter_outbox
from services.segmenter.commit import Commit, Watermark, encode_mark
from services.segmenter.outbox import ChangeOutbox, pack_output
from services.segmenter.partition import Partition
from services.segmenter.store import RedisStore

Connection = Any
_DAWDLE_SECONDS = 0.05


def plant_multi() -> None:
    """One MULTI per commit, sent again by the driver when its reply is lost. The outbox numbers what comes."""
    RedisStore.commit = _multi  # type: ignore[method-assign]
    ChangeOutbox.pending = _in_order_of_arrival  # type: ignore[assignment]
    ChangeOutbox.mark = _mark_without_trimming  # type: ignore[assignment]


async def _multi(self: RedisStore, partition: int, expected: Watermark, commit: Commit) -> None:
    pipe = self._reader.pipeline(transaction=True)  # the client that retries
    pipe.set(keys.mark(partition), encode_mark(commit.mark))
    if commit.catalog is not None:
        pipe.set(keys.catalog(partition), msgspec.json.encode(commit.catalog))
    for profile, customer in commit.customers.items():
        if customer is None:
            pipe.hdel(keys.customers(partition), profile)
        else:
            pipe.hset(keys.customers(partition), profile, customer.pack())
        if customer is None or not customer.due:
            pipe.zrem(keys.deadlines(partition), profile)
        else:
            pipe.zadd(keys.deadlines(partition), {profile: customer.due})
    for output in commit.outputs:
        pipe.xadd(keys.outbox(partition, commit.mark.epoch), {"r": pack_output(output)})
    for change in commit.transitions:
        members = keys.members(partition, change.segment_id)
        if change.action == "entered":
            pipe.zadd(members, {change.profile_id: 0})
        else:
            pipe.zrem(members, change.profile_id)
    await pipe.execute()


async def _in_order_of_arrival(
    self: ChangeOutbox, partition: int, after: int, limit: int
) -> Sequence[OutboxRecord]:
    entries: Any = await self._redis.xrange(keys.outbox(partition, self._epoch))
    numbered = list(enumerate((fields[b"r"] for _, fields in entries), 1))[after : after + limit]
    return [segmenter_outbox._record(self._epoch, b"%d-0" % number, packed) for number, packed in numbered]


async def _mark_without_trimming(self: ChangeOutbox, partition: int, published: Published) -> None:
    await self._publications.store(partition, published)


def plant_serial() -> None:
    """A number is drawn like a bigserial's; the relay publishes what has come into sight beyond the last one."""
    profile_batch._write_drafts = _write_numbered_at_insert
    profile_store.lock_counters = _drawn_counters
    profiles_main.initialise = _initialise  # type: ignore[attr-defined]
    Relay._check_dense = _anything_goes  # type: ignore[method-assign]


async def _drawn_counters(connection: Connection, partitions: Sequence[int]) -> dict[int, Counter]:
    rows = await connection.fetch(
        "SELECT q, epoch, next_seq, time, low FROM counter WHERE q = ANY($1::int[]) ORDER BY q", partitions
    )
    counters = {row["q"]: Counter(**row) for row in rows}
    for q, counter in counters.items():
        counter.next_seq = await _draw(connection, q)
    return counters


async def _draw(connection: Connection, q: int) -> int:
    return int(await connection.fetchval("SELECT nextval($1)", f"planted_{q}"))


async def _write_numbered_at_insert(
    connection: Connection, batch: Batch, drafts: Sequence[Draft], partitions: int
) -> Sequence[int]:
    touched = partitions_of(drafts, partitions)
    rows = await connection.fetch(
        "SELECT q, epoch, next_seq, time, low FROM counter WHERE q = ANY($1::int[])", touched
    )
    counters = {row["q"]: Counter(**row) for row in rows}
    others_low = await connection.fetchval(profile_batch._OTHERS_LOW, batch.topic, batch.q)
    numbered: list[TimelineRow] = []
    for row in assign(drafts, counters, others_low=others_low, partitions=partitions):
        seq = await _draw(connection, row.q)
        counters[row.q].next_seq = seq + 1
        numbered.append(row._replace(seq=seq))
    await connection.copy_records_to_table("timeline", records=numbered, columns=TimelineRow._fields)
    await asyncio.sleep(_DAWDLE_SECONDS * (batch.q % 2))  # one transaction takes longer than the next
    for counter in counters.values():
        await connection.execute(
            "UPDATE counter SET next_seq = greatest(next_seq, $2), time = greatest(time, $3), "
            "low = greatest(low, $4) WHERE q = $1",
            *(counter.q, counter.next_seq, counter.time, counter.low),
        )
    return touched


def _anything_goes(self: Relay, rows: Sequence[OutboxRecord], last: int) -> None:
    return None


async def _initialise(pool: asyncpg.Pool, topics: Sequence[str], partitions: int) -> None:
    await profile_store.initialise(pool, topics, partitions)
    for q in range(partitions):
        await pool.execute(f"CREATE SEQUENCE IF NOT EXISTS planted_{q}")


def plant_clock() -> None:
    """Timers fire when the wall clock says so, whatever is waiting to be processed."""
    plain = Partition.backfill

    async def fire_and_backfill(self: Partition) -> bool:
        now: Millis = now_ms()
        if await self._anything_due(now):
            await self._fire_until(now)
        return await plain(self)

    Partition.backfill = fire_and_backfill  # type: ignore[method-assign]


BUGS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "multi": ("segmenter", plant_multi),
    "serial": ("profiles", plant_serial),
    "clock": ("segmenter", plant_clock),
}
"""The service that has each bug, and what plants it."""
_MAINS = {"profiles": profiles_main.main, "segmenter": segmenter_main.main}


def command(bug: str) -> tuple[str, ...]:
    """What starts the platform with the bug."""
    return (sys.executable, "-m", "tests.faults.planted", bug, "up")


def _start_platform(bug: str) -> None:
    """`headrace up`, which starts its services by their commands: that of one is replaced."""
    victim, _ = BUGS[bug]
    planted = (sys.executable, "-m", "tests.faults.planted", bug, victim)
    supervised.SERVICES = [
        replace(service, command=planted) if service.name == victim else service for service in supervised.SERVICES
    ]
    sys.argv = ["headrace", "up"]
    headrace()


def main(bug: str, what: str) -> int:
    """The exit code."""
    if what == "up":
        _start_platform(bug)
    victim, plant = BUGS[bug]
    plant()
    return _MAINS[victim]([])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
