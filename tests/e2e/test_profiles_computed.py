"""Computed traits reach the customer's record exactly once, and are no part of time (ADR 13)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from headrace.contracts import topics
from headrace.contracts.profile_event import MergeRow
from headrace.log.port import NewRecord
from headrace.runtime.metrics import Metrics
from services.profiles.batch import Fenced
from services.profiles.computed import Change
from services.profiles.computed_sql import commit_computed
from services.profiles.store import SCHEMA
from services.profiles.worker import side_topics
from tests.e2e.profiles_rig import T0, Rig, event, eventually, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def customers(rig: Rig, *names: str) -> list[str]:
    """Ids of new customers with these user ids."""
    await rig.send(*(event(user=name) for name in names))
    await rig.processed()
    found = {profile["user_id"]: profile["id"] for profile in await rig.profiles()}
    return [found[name] for name in names]


async def computed(rig: Rig) -> dict[str, Any]:
    return {profile["user_id"]: profile["computed"] for profile in await rig.profiles()}


async def test_the_highest_epoch_and_sequence_hold_and_null_removes(rig: Rig) -> None:
    async with rig.worker():
        first, second = await customers(rig, "u1", "u2")
        for trait, value, epoch, sequence in [
            ("total", 10, 1, 5),
            ("total", 7, 1, 4),
            ("total", 12.5, 2, 1),
            ("total", 99, 1, 6),
            ("gone", 1, 1, 1),
            ("gone", None, 1, 2),
            ("gone", 2, 1, 1),
            ("brands", ["a", "b"], 1, 1),
        ]:
            await rig.send_computed(first, trait, value, epoch=epoch, sequence=sequence)
        await rig.send_computed("nobody", "total", 1, sequence=1)
        await rig.processed()
        assert await computed(rig) == {"u1": {"total": 12.5, "brands": ["a", "b"]}, "u2": {}}
        rows = await rig.pool.fetchval("SELECT count(*) FROM timeline")
    assert rows == 2, "computed traits write no rows"
    assert second is not None


async def test_numbers_are_kept_exactly(rig: Rig) -> None:
    async with rig.worker():
        [one] = await customers(rig, "u1")
        await rig.send_computed(one, "total", 1, sequence=1)
        name, q = rig.topic(topics.COMPUTED_TRAITS), topics.partition_of(one, len(rig.partitions))
        [sent] = await rig.records(q, topics.COMPUTED_TRAITS)
        exact = b"12345678901234567890.12345"
        value = (sent.value or b"").replace(b'"total":1', b'"total":' + exact).replace(b'ce":1', b'ce":2')
        await rig.log.append(name, q, [NewRecord(sent.key, value, sent.headers)])
        await rig.send(event("identify", user="u1", traits={"plan": "gold"}))
        await rig.processed()
    assert await rig.pool.fetchval("SELECT computed ->> 'total' FROM profile") == exact.decode()


async def test_bad_records_are_set_aside_and_what_follows_is_applied(rig: Rig) -> None:
    metrics = Metrics("profiles")
    async with rig.worker() as worker:
        [one] = await customers(rig, "u1")
        assert worker
    await rig.log.append(rig.topic(topics.COMPUTED_TRAITS), 0, [NewRecord(b"p", b"no json")])
    await rig.send_computed(one, "text", "a\0b", sequence=1, q=0)
    await rig.send_computed(one, "total", 5, sequence=1, q=0)
    async with rig.worker(metrics=metrics):
        await rig.processed()
    assert await computed(rig) == {"u1": {"total": 5}}
    letters = await rig.records(0, topics.DEAD_LETTERS)
    assert len(letters) == 2
    assert {b"undecodable" in (one.value or b"") for one in letters} == {True, False}


async def test_in_a_merge_the_winner_keeps_its_own(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1", at=T0), event(anonymous="a1", at=T0 + 1))
        await rig.processed()
        known = next(one["id"] for one in await rig.profiles() if one["user_id"])
        visitor = next(one["id"] for one in await rig.profiles() if not one["user_id"])
        await rig.send_computed(known, "total", 10, sequence=1)
        await rig.send_computed(visitor, "total", 3, sequence=8)
        await rig.send_computed(visitor, "pages", 4, sequence=1)
        await rig.processed()
        await rig.send(event("identify", user="u1", anonymous="a1", traits={"plan": "gold"}, at=T0 + 2))
        await rig.processed()
        assert [row.loser for row in await rig.rows() if isinstance(row, MergeRow)] == [visitor]
        assert await computed(rig) == {"u1": {"total": 10}}
        await rig.send_computed(visitor, "total", 4, sequence=9)  # told before the merge was seen
        await rig.send_computed(known, "total", 13, sequence=2)
        await rig.processed()
        assert await computed(rig) == {"u1": {"total": 13}}


async def test_a_batch_is_applied_once_whoever_commits_it(rig: Rig) -> None:
    """Two workers own the same partitions: one of them is fenced, and reads on from where the other came to."""
    async with rig.worker(), rig.worker():
        ids = await customers(rig, *(f"u{n}" for n in range(20)))
        for sequence in range(1, 6):
            await asyncio.gather(*(rig.send_computed(one, "n", sequence, sequence=sequence) for one in ids))
        await rig.processed()
    assert set(map(str, (await computed(rig)).values())) == {"{'n': 5}"}
    [topic] = side_topics(rig.settings)
    ends = [(await rig.log.bounds(topic, q)).end for q in rig.partitions]
    assert sum(ends) == 100
    with pytest.raises(Fenced):
        await commit_computed(rig.pool, topic, 0, range(ends[0] - 1, ends[0]), [])


async def test_time_goes_on_while_computed_traits_wait(rig: Rig) -> None:
    """A backlog of computed traits holds no timer up: ticks and `low` do not know of the topic."""
    [topic] = side_topics(rig.settings)
    async with rig.worker(), rig.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM side_input WHERE topic = $1 FOR UPDATE", topic)
        await rig.send(event(user="u1"))
        await rig.send_computed("p1", "total", 1, sequence=1)
        before = await rig.pool.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")

        async def passed() -> bool:
            return bool(await rig.pool.fetchval("SELECT min(low) > $1 FROM counter", before))

        await eventually(passed, 20)


async def test_the_number_of_statements_does_not_depend_on_the_batch(rig: Rig) -> None:
    async with rig.worker():
        ids = await customers(rig, *(f"u{number}" for number in range(40)))
    [topic] = side_topics(rig.settings)
    pool = await asyncpg.create_pool(
        rig.settings.database_url, min_size=1, max_size=1, server_settings={"search_path": SCHEMA}, reset=_no_reset
    )
    statements: list[str] = []
    async with pool.acquire() as connection:
        connection.add_query_logger(lambda query: statements.append(query.query))
    counts = []
    offset = 0
    for size in (1, 40):
        statements.clear()
        changes = [Change(one, "n", (1, size), msgspec.Raw(b"1")) for one in ids[:size]]
        await commit_computed(pool, topic, 0, range(offset, offset + size), changes)
        offset += size
        counts.append(len(statements))
    await pool.close()
    assert counts[0] == counts[1] > 3
    assert await rig.pool.fetchval("SELECT count(*) FROM profile WHERE computed = '{\"n\": 1}'") == 40


async def _no_reset(connection: asyncpg.Connection) -> None:
    """Its statements would be counted."""
