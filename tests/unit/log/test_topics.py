"""The deployment's topics and how a log is chosen."""

import pytest

from headrace.contracts.errors import SettingsError
from headrace.contracts.topics import DEAD_LETTERS, EVENTS, PROFILES_GROUP, SEGMENT_MEMBERSHIPS, TOPICS
from headrace.log.connect import connect_log
from headrace.log.port import Bounds, LogFull, NewRecord, UnknownTopic, WrongTopicSettings
from headrace.log.redis_streams import RedisStreamsLog
from headrace.log.redis_streams.topics import declared_topics
from headrace.log.topics import ensure_topics
from tests.conformance.log_engine import closing, opened
from tests.conformance.redis_engine import OwnRedisEngine

ALL = frozenset(range(4))


async def test_every_declared_topic_is_created_but_those_for_kafka_only(log: RedisStreamsLog) -> None:
    for _ in range(2):
        await ensure_topics(log, prefix="shop.", partitions=4)
    declared = await declared_topics(log._server)
    assert declared.keys() == {f"shop.{topic.name}" for topic in TOPICS} - {f"shop.{SEGMENT_MEMBERSHIPS.name}"}
    assert {one.partitions for one in declared.values()} == {4}
    assert declared[f"shop.{EVENTS.name}"].groups == (f"shop.{PROFILES_GROUP}",)
    assert await log.bounds(f"shop.{DEAD_LETTERS.name}", 3) == Bounds(0, 0)
    with pytest.raises(UnknownTopic):
        await log.bounds(EVENTS.name, 0)


async def test_a_changed_partition_count_says_how_to_go_on(log: RedisStreamsLog) -> None:
    await ensure_topics(log, prefix="", partitions=4)
    with pytest.raises(WrongTopicSettings, match="set HEADRACE_PARTITIONS=4"):
        await ensure_topics(log, prefix="", partitions=8)


async def test_deployments_with_their_own_prefix_share_a_server(log: RedisStreamsLog) -> None:
    members = []
    for prefix in ("one.", "two."):
        await ensure_topics(log, prefix=prefix, partitions=4)
        members.append(await log.join(prefix + PROFILES_GROUP, [prefix + EVENTS.name], 4))
        await log.append(prefix + EVENTS.name, 0, [NewRecord(b"k", b"v")])
    assert [await member.changed(frozenset()) for member in members] == [ALL, ALL]
    await members[0].commit("one." + EVENTS.name, 0, 1)
    await log.trim()
    assert await log.bounds("one." + EVENTS.name, 0) == Bounds(1, 1)
    assert await log.bounds("two." + EVENTS.name, 0) == Bounds(0, 1)


async def test_a_service_starts_on_a_full_log(own_engine: OwnRedisEngine) -> None:
    """Or nobody could consume what fills it."""
    async with opened(own_engine) as log:
        await ensure_topics(log, prefix="", partitions=4)
        await own_engine.shrink()
        with pytest.raises(LogFull):  # noqa: PT012 - which append meets the limit is the server's affair
            while True:
                await log.append(EVENTS.name, 0, [NewRecord(None, b"x" * 500_000)])
        await ensure_topics(log, prefix="", partitions=4)


async def test_a_log_is_chosen_by_its_url(log_url: str) -> None:
    async with closing(await connect_log(log_url, rollback_horizon_ms=0)) as log:
        assert isinstance(log, RedisStreamsLog)
    with pytest.raises(SettingsError, match=r"HEADRACE_LOG_URL=amqp"):
        await connect_log("amqp://user:secret@host", rollback_horizon_ms=0)
