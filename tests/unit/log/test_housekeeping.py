"""Trimming on Redis Streams beyond the conformance suite."""

import pytest
from redis.asyncio import Redis

from headrace.contracts.topics import Topic
from headrace.log.port import Bounds, NewRecord
from headrace.log.redis_streams import RedisStreamsLog, housekeeping, keys
from headrace.log.redis_streams.housekeeping import Retention, trim
from headrace.log.redis_streams.topics import declared_topics
from tests.conformance.log_engine import PARTITIONS, closing, eventually, fresh, new_topic, numbered, opened
from tests.conformance.redis_engine import OwnRedisEngine

DAY_MS = 86_400_000


async def test_the_log_keeps_house_by_itself(log_url: str, log: RedisStreamsLog) -> None:
    topic = await _consumed(log, 4)
    async with closing(await _housekeeper(log_url)):
        await eventually(lambda: _begins(log, topic, 4))


async def test_housekeeping_outlasts_the_engine(own_engine: OwnRedisEngine) -> None:
    async with closing(await _housekeeper(own_engine.url)) as log:
        topic = await _consumed(log, 4)
        await eventually(lambda: _begins(log, topic, 4))
        await own_engine.kill()
        await own_engine.start()
        member = await log.join("readers", [topic], PARTITIONS)
        await member.commit(topic, 0, 5)
        await eventually(lambda: _begins(log, topic, 5))


async def test_one_process_at_a_time_keeps_house(log_url: str, log: RedisStreamsLog) -> None:
    topic = await _consumed(log, 5)
    async with Redis.from_url(log_url) as client:
        await client.set(keys.HOUSEKEEPING, "another")

        async def asked() -> bool:
            stats = await client.info("commandstats")
            return bool(stats.get("cmdstat_pttl", {"calls": 0})["calls"] > 3)

        async with closing(await _housekeeper(log_url)):
            await eventually(asked)
            assert await _begins(log, topic, 0)
            await client.delete(keys.HOUSEKEEPING)
            await eventually(lambda: _begins(log, topic, 5))


async def _housekeeper(url: str) -> RedisStreamsLog:
    return await RedisStreamsLog.connect(url, rollback_horizon_ms=0, housekeeping_seconds=0.02)


async def _consumed(log: RedisStreamsLog, count: int) -> str:
    """A topic whose only readers have passed `count` of 5 records."""
    topic = await new_topic(log, "readers")
    member = await log.join("readers", [topic], PARTITIONS)
    await log.append(topic, 0, numbered(0, 5))
    await member.commit(topic, 0, count)
    return topic


async def _begins(log: RedisStreamsLog, topic: str, offset: int) -> bool:
    return (await log.bounds(topic, 0)).begin == offset


@pytest.mark.parametrize(
    ("retention", "begin"),
    [
        (Retention(0, unread_ms=DAY_MS, unread_records=0), 0),
        (Retention(0, unread_ms=DAY_MS, unread_records=3), 7),
        (Retention(0, unread_ms=DAY_MS, unread_records=30), 0),
        (Retention(0, unread_ms=0, unread_records=3), 10),
    ],
)
async def test_what_nobody_reads_goes_by_age_and_number(
    log: RedisStreamsLog, retention: Retention, begin: int
) -> None:
    topic = await new_topic(log)
    await log.append(topic, 1, numbered(0, 10))
    assert await trim(log._server, await declared_topics(log._server), retention) == begin
    assert await log.bounds(topic, 1) == Bounds(begin, 10)


async def test_a_long_backlog_is_trimmed_in_steps(log: RedisStreamsLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "STEP", 7)
    topic = await new_topic(log, "readers")
    member = await log.join("readers", [topic], PARTITIONS)
    await log.append(topic, 0, numbered(0, 100))
    await member.commit(topic, 0, 93)
    assert await log.trim() == 93
    assert await log.bounds(topic, 0) == Bounds(93, 100)


async def test_trimming_frees_memory(own_engine: OwnRedisEngine) -> None:
    async with Redis.from_url(own_engine.url) as client, opened(own_engine, horizon_ms=0) as log:
        topic = await new_topic(log, "readers")
        member = await log.join("readers", [topic], PARTITIONS)
        empty = (await client.info("memory"))["used_memory"]
        for _ in range(20):
            await log.append(topic, 0, [NewRecord(None, b"x" * 1000)] * 500)
        full = (await client.info("memory"))["used_memory"]
        await member.commit(topic, 0, 10_000)
        await own_engine.trim(log)
        trimmed = (await client.info("memory"))["used_memory"]
    assert full - empty > 9_000_000
    assert trimmed - empty < 1_000_000


async def test_another_declaration_of_the_groups_counts_from_then_on(log: RedisStreamsLog) -> None:
    """A release adds a reader: from its first start on trimming waits for it."""
    topic = await new_topic(log, "old")
    declared = (await declared_topics(log._server))[topic]
    assert declared.groups == ("old",)
    member = await log.join("old", [topic], PARTITIONS)
    await log.append(topic, 0, numbered(0, 4))
    await member.commit(topic, 0, 2)
    await log.trim()
    await log.create_topics([Topic(topic, "any", "Two readers.", groups=("old", "new"))], PARTITIONS)
    await member.commit(topic, 0, 4)
    await log.trim()
    assert await log.bounds(topic, 0) == Bounds(2, 4)


async def test_a_failed_commit_is_counted_and_not_raised(own_engine: OwnRedisEngine) -> None:
    log = await own_engine.open(horizon_ms=0, timeout=0.5, max_record_bytes=1000)
    async with closing(log):
        topic = await new_topic(log, "readers")
        member = await log.join(fresh("readers"), [topic], PARTITIONS)
        await own_engine.kill()
        await member.commit(topic, 0, 1)
    await member.commit(topic, 0, 2)
    assert member.failed_commits == 2
