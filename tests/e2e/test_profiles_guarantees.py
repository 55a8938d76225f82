"""Nothing lost, nothing doubled: fencing, crashes, concurrent workers, time (DESIGN §4)."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from headrace.contracts import topics
from headrace.contracts.event import Event
from headrace.contracts.profile_event import EventRow, Tick, decode_profile_event
from headrace.contracts.topics import partition_of
from headrace.log.port import Log, LogUnavailable, NewRecord
from headrace.runtime.clock import now_ms
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.publisher import Relay
from services.profiles.batch import Batch, Fenced, commit_batch
from services.profiles.identifiers_sql import Overtaken
from services.profiles.intake import event_reader
from services.profiles.store import TimelineOutbox, WrongDeployment, initialise
from services.profiles.ticker import Active, Ticker
from services.profiles.worker import input_topics
from tests.e2e.profiles_rig import T0, Rig, dense, event, eventually, profiles_rig

SEEDS = (1, 2)


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


class Unreliable:
    """A log that loses two answers per partition: of an append that did not land, then of one that did."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.appends: Counter[int] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        number = 0
        if topic == self._topic:
            self.appends[partition] += 1
            number = self.appends[partition]
        if number == 1:
            raise LogUnavailable("before it landed")
        offset = await self._log.append(topic, partition, records)
        if number == 2:
            raise LogUnavailable("after it landed")
        return offset


async def test_a_lost_answer_of_the_log_neither_loses_nor_doubles_a_row(rig: Rig) -> None:
    log = Unreliable(rig.log, rig.topic(topics.PROFILE_EVENTS))
    async with rig.worker(log=log):
        await rig.send(*(event(user=f"u{n}") for n in range(20)))
        await rig.processed()
        await rig.send(*(event(user=f"u{n}") for n in range(20)))
        await rig.processed()
    assert all(log.appends[q] > 2 for q in rig.partitions)
    assert len(await rig.rows()) == 40
    for q in rig.partitions:
        assert dense(await rig.published(q))


async def test_rows_committed_before_a_crash_are_published_after_it(rig: Rig) -> None:
    """The process dies between the commit and the publishing: nobody relays what is in the store."""
    await rig.send(*(event(user=f"u{n}") for n in range(20)))
    batches = [await _batch(rig, q) for q in rig.partitions]
    for batch in batches:
        await commit_batch(rig.pool, batch, len(rig.partitions))
    assert await rig.rows() == []
    async with rig.worker():
        await rig.processed()
    assert len(await rig.rows()) == 20
    for q in rig.partitions:
        assert dense(await rig.published(q))


async def test_a_second_commit_from_the_same_position_is_fenced(rig: Rig) -> None:
    await rig.send(event(user="u1"), event(user="u1"), q=0)
    batch = await _batch(rig, 0)
    both = await asyncio.gather(
        *(commit_batch(rig.pool, batch, len(rig.partitions)) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(result, Fenced) for result in both) == 1
    assert await rig.pool.fetchval("SELECT count(*) FROM timeline") == 2


@pytest.mark.parametrize("seed", SEEDS)
async def test_workers_that_all_believe_to_own_everything_agree(
    database_url: str, log_url: str, topic_prefix: str, seed: int
) -> None:
    """Zombies: four workers on the same eight partitions and the same people, with merges all along."""
    chance = random.Random(seed)
    events = [_random_event(chance, n) for n in range(300)]
    async with profiles_rig(database_url, log_url, partitions=8, topic_prefix=topic_prefix) as rig:
        for one in events:
            await rig.send(one, q=chance.randrange(8))
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(rig.worker())
            await rig.processed()
        assert await rig.people() == _connected(events)
        await _assert_sound(rig, events)


@pytest.mark.parametrize("seed", SEEDS)
async def test_concurrent_transactions_on_the_same_people_leave_what_one_after_another_would(
    database_url: str, log_url: str, topic_prefix: str, seed: int
) -> None:
    """Eight processes, a partition each, small batches: the people are locked, not the partitions."""
    chance = random.Random(seed)
    events = [_random_event(chance, n) for n in range(400)]
    async with profiles_rig(database_url, log_url, partitions=8, topic_prefix=topic_prefix) as rig:
        for one in events:
            await rig.send(one, q=chance.randrange(8))
        await asyncio.gather(*(_commit_in_pieces(rig, q, random.Random(seed + q)) for q in rig.partitions))
        async with rig.worker():
            await rig.processed()
        assert await rig.people() == _connected(events)
        await _assert_sound(rig, events)
        for q in rig.partitions:
            assert dense(await rig.published(q))


async def test_an_event_that_meets_a_merge_half_way_follows_it(rig: Rig) -> None:
    """It has resolved its identifier, waits for the profile's lock, and finds the profile merged."""
    await rig.send(event(anonymous="a1"), event(user="u1"), q=0)
    await commit_batch(rig.pool, await _batch(rig, 0), len(rig.partitions))
    known, visitor = await rig.pool.fetchrow(
        "SELECT max(id) FILTER (WHERE user_id IS NOT NULL), max(id) FILTER (WHERE user_id IS NULL) FROM profile"
    ) or (None, None)
    await rig.send(event(anonymous="a1", name="Late"), q=1)
    async with rig.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE profile SET merged_into = $1 WHERE id = $2", known, visitor)
            await connection.execute("INSERT INTO alias (profile_id, root) VALUES ($1, $2)", visitor, known)
            late = asyncio.create_task(commit_batch(rig.pool, await _batch(rig, 1), len(rig.partitions)))
            await eventually(lambda: _someone_waits(rig))
        await late
    owner = await rig.pool.fetchval("SELECT profile_id FROM timeline WHERE event = 'Late'")
    assert owner == known
    assert [profile["id"] for profile in await rig.profiles()] == [known]


async def test_no_low_passes_a_record_that_waits(rig: Rig) -> None:
    """Whatever is published before an event's row has a low not above the event's log time."""
    chance = random.Random(5)
    async with rig.worker():
        for n in range(120):
            await rig.send(event(user=f"u{chance.randrange(9)}", message_id=f"m{n}"))
        await rig.processed()
        await eventually(lambda: _ticked(rig, after=0))
    logged = {}
    for q in rig.partitions:
        for found in await rig.records(q, topics.EVENTS):
            logged[(found.value or b"").split(b'"messageId":"')[1].split(b'"')[0].decode()] = found.time
    for q in rig.partitions:
        low = 0
        for row in await rig.published(q):
            assert row.low >= low
            if isinstance(row, EventRow):
                assert low <= logged[row.message_id] <= row.time
                assert row.low <= row.time
            low = row.low


async def test_an_input_that_nobody_reads_holds_low_back(rig: Rig) -> None:
    await rig.send(event(user="u1"), q=1)
    async with rig.worker(owns=[0]):
        await rig.send(event(user="u2"), q=0)
        for _ in range(2):
            time = await _idle_time(rig, 0)
            await eventually(lambda time=time: _rose(rig, 0, time))  # type: ignore[misc]
        assert await rig.pool.fetchval("SELECT max(low) FROM counter") == 0
    async with rig.worker():
        await rig.processed()
        await eventually(lambda: _ticked(rig, after=0))


async def test_ticks_follow_every_row_and_name_it_also_after_a_restart(rig: Rig) -> None:
    for _ in range(2):
        async with rig.worker():
            await rig.send(event(user="u1"), event(user="u2"), event(user="u3"))
            await rig.processed()
            last = await rig.pool.fetchval("SELECT max(low) FROM counter")
            await eventually(lambda last=last: _ticked(rig, after=last))  # type: ignore[misc]
    for q in rig.partitions:
        published = await rig.published(q)
        assert dense(published)
        lows = [row.low for row in published]
        assert lows == sorted(lows)
        ticks = [row.low for row in published if isinstance(row, Tick)]
        assert len(set(ticks)) == len(ticks)
        stored = await rig.pool.fetchval("SELECT low FROM counter WHERE q = $1", q)
        assert stored >= max(ticks)


@pytest.mark.parametrize(("skew", "ticks"), [(-3_000, False), (0, True), (3_000, False)])
async def test_only_a_worker_whose_clock_is_right_publishes_ticks(rig: Rig, skew: int, ticks: bool) -> None:
    active = {q: Active((), _relay(rig, q)) for q in rig.partitions}
    now = await rig.pool.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    ticker = Ticker(
        rig.log, rig.pool, active, Metrics("profiles"), output="", interval=1, wall_clock=lambda: int(now) + skew
    )
    await rig.pool.execute("UPDATE input SET time = 5")
    await ticker.beat()
    assert await rig.pool.fetchval("SELECT min(low) FROM counter") == (5 if ticks else 0)


async def test_a_beat_finds_rows_that_another_process_committed_though_no_low_moves(rig: Rig) -> None:
    relays = {q: _relay(rig, q, poll=3_600) for q in rig.partitions}
    active = {q: Active((), relay) for q, relay in relays.items()}
    ticker = Ticker(rig.log, rig.pool, active, Metrics("profiles"), output="", interval=1, wall_clock=now_ms)
    running = [asyncio.create_task(relay.run()) for relay in relays.values()]
    await eventually(lambda: _have_looked(relays.values()))
    await rig.send(event(user="u1"), q=0)
    await commit_batch(rig.pool, await _batch(rig, 0), len(rig.partitions))
    q = await rig.pool.fetchval("SELECT q FROM timeline")
    await ticker.beat()
    await eventually(lambda: _holds(rig, q, 1))
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert await rig.pool.fetchval("SELECT max(low) FROM counter") == 0


async def test_a_tick_follows_the_row_it_names_and_yields_to_later_rows(rig: Rig) -> None:
    await rig.send(event(user="u1"), q=0)
    await commit_batch(rig.pool, await _batch(rig, 0), len(rig.partitions))
    [row] = await rig.pool.fetch("SELECT q FROM timeline")
    relay = _relay(rig, row["q"])
    running = asyncio.create_task(relay.run())
    for seq, records in [(0, 1), (1, 2)]:
        relay.follow(seq, _tick(seq))
        await eventually(lambda records=records: _holds(rig, row["q"], records))  # type: ignore[misc]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [(type(one), one.seq) for one in await rig.published(row["q"])] == [(EventRow, 1), (Tick, 1)]


async def test_a_record_far_ahead_of_postgres_clock_stops_the_partition(rig: Rig) -> None:
    await rig.send(event(user="u1"), q=0)
    batch = await _batch(rig, 0)
    with pytest.raises(PartitionHalted):
        await commit_batch(rig.pool, replace(batch, times=[batch.times[0] + 60_000]), len(rig.partitions))
    assert await rig.pool.fetchval("SELECT count(*) FROM timeline") == 0


async def test_a_postgres_that_lost_commits_is_noticed(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1"))
        await rig.processed()
    [row] = await rig.pool.fetch("DELETE FROM timeline RETURNING q")
    await rig.pool.execute("UPDATE counter SET next_seq = 1, published_seq = 0, published_offset = 0")
    with pytest.raises(PartitionHalted, match="lost commits"):
        await _relay(rig, row["q"]).drain()


async def test_another_number_of_partitions_is_refused(rig: Rig) -> None:
    with pytest.raises(WrongDeployment, match="HEADRACE_PARTITIONS"):
        await initialise(rig.pool, input_topics(rig.settings), len(rig.partitions) + 1)


async def _batch(rig: Rig, q: int) -> Batch:
    """All that partition q of `cdp.events` holds."""
    records = await rig.records(q, topics.EVENTS)
    read = event_reader(None)
    incoming = [(index, read(found)) for index, found in enumerate(records)]
    return Batch(rig.topic(topics.EVENTS), q, 0, [found.time for found in records], incoming)


async def _commit_in_pieces(rig: Rig, q: int, chance: random.Random) -> None:
    """Commit partition q in batches of 1 to 4 records, again when Postgres asks for it."""
    rest = await _batch(rig, q)
    while rest.times:
        piece, later = rest.split(chance.randint(1, 4))
        try:
            await commit_batch(rig.pool, piece, len(rig.partitions))
        except (asyncpg.DeadlockDetectedError, Overtaken):
            continue
        rest = later


def _relay(rig: Rig, q: int, *, poll: float = 1.0) -> Relay:
    topic = rig.topic(topics.PROFILE_EVENTS)
    metrics = Metrics("profiles")
    return Relay(rig.log, TimelineOutbox(rig.pool), topic=topic, partition=q, metrics=metrics, poll=poll)


async def _have_looked(relays: Iterable[Relay]) -> bool:
    return all(relay.published is not None for relay in relays)


def _tick(seq: int) -> NewRecord:
    return NewRecord(None, msgspec.json.encode(Tick(seq=seq, epoch=1, low=7)))


async def _holds(rig: Rig, q: int, records: int) -> bool:
    return len(await rig.records(q)) >= records


async def _ticked(rig: Rig, after: int) -> bool:
    """Every output partition has a tick later than `after`."""
    published = [await rig.published(q) for q in rig.partitions]
    return all(any(isinstance(row, Tick) and row.low > after for row in rows) for rows in published)


async def _someone_waits(rig: Rig) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(await rig.pool.fetchval(query))


async def _rose(rig: Rig, q: int, above: int) -> bool:
    return await _idle_time(rig, q) > above


async def _idle_time(rig: Rig, q: int) -> int:
    return int(await rig.pool.fetchval("SELECT min(time) FROM input WHERE q = $1", q))


def _random_event(chance: random.Random, n: int) -> Event:
    """Somebody of 12 customers, each with a user id, an e-mail and two browsers, who sets a trait
    that no other event sets."""
    who = chance.randrange(12)
    browser = f"a{who}-{chance.randrange(2)}"
    kind, own = chance.randrange(4), {f"n{n}": n}
    if kind == 0:
        return event("identify", anonymous=browser, traits=own, at=T0 + n)
    if kind == 1:
        return event("identify", user=f"u{who}", traits={"email": f"c{who}@example.com", **own}, at=T0 + n)
    if kind == 2:
        return event("identify", anonymous=browser, traits={"email": f"c{who}@example.com", **own}, at=T0 + n)
    return event("identify", user=f"u{who}", anonymous=browser, traits=own, at=T0 + n)


def _names(one: Event) -> set[tuple[str, str]]:
    named = {("user_id", one.user_id), ("anonymous_id", one.anonymous_id)}
    email = msgspec.json.decode(one.traits).get("email")
    return {(kind, value) for kind, value in {*named, ("email", email)} if value}


def _connected(events: Sequence[Event]) -> set[frozenset[tuple[str, str]]]:
    """Who is who, written apart from the code under test."""
    groups: list[set[tuple[str, str]]] = []
    for one in events:
        names = _names(one)
        touching = [group for group in groups if group & names]
        groups = [group for group in groups if group not in touching] + [names.union(*touching)]
    return {frozenset(group) for group in groups}


async def _assert_sound(rig: Rig, events: Sequence[Event]) -> None:
    """Each event once; no trait lost; the topic holds the timeline, whatever was sent twice."""
    traits = {key: value for profile in await rig.profiles() for key, value in profile["traits"].items()}
    traits.pop("email", None)
    assert traits == {f"n{n}": n for n in range(len(events))}
    assert await rig.pool.fetchval("SELECT count(*) FROM alias_v1 a JOIN alias_v1 b ON a.root = b.profile_id") == 0
    message_ids = []
    for q in rig.partitions:
        rows: dict[int, bytes] = {}
        for record in await rig.records(q):
            row = decode_profile_event(record.value or b"")
            if isinstance(row, Tick):
                continue
            assert row.seq <= len(rows) + 1
            assert rows.setdefault(row.seq, record.value or b"") == record.value
        assert len(rows) == await rig.pool.fetchval("SELECT count(*) FROM timeline_v1 WHERE partition = $1", q)
        decoded = [decode_profile_event(value) for value in rows.values()]
        mine = [row for row in decoded if isinstance(row, EventRow)]
        assert all(partition_of(row.profile_id, len(rig.partitions)) == q for row in mine)
        message_ids += [row.message_id for row in mine]
    assert sorted(message_ids) == sorted(one.message_id for one in events)
