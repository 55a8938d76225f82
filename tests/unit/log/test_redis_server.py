"""What Redis Streams adds to the conformance suite: the server's settings, its connections, its file."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from headrace.contracts.topics import Topic
from headrace.log.port import Bounds, LogUnavailable, NewRecord, Record, WrongTopicSettings
from headrace.log.redis_streams import RedisStreamsLog, keys, tails
from headrace.log.redis_streams.log import CONNECTIONS
from headrace.log.redis_streams.server import Server
from tests.conformance.log_engine import closing, eventually, fresh, new_topic, numbered, opened, read_all, values
from tests.conformance.redis_engine import OwnRedisEngine
from tests.unit.log.lossy_proxy import lossy_proxy

SOON = 10.0


async def test_a_server_that_evicts_is_refused_with_what_to_do(own_engine: OwnRedisEngine) -> None:
    async with Redis.from_url(own_engine.url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(WrongTopicSettings, match=r"allkeys-lru.*set maxmemory-policy to noeviction"):
        await RedisStreamsLog.connect(own_engine.url, rollback_horizon_ms=0)


async def test_a_server_too_old_is_refused(log_url: str) -> None:
    server = Server(log_url, timeout=3, connections=1)

    async def info() -> dict[str, str]:
        return {"redis_version": "6.2.14"}

    server.client.info = info  # type: ignore[method-assign, assignment]
    with pytest.raises(WrongTopicSettings, match=r"too old.*Redis >= 7"):
        await server.check()
    await server.close()


async def test_a_server_that_became_a_replica_is_unavailable(own_engine: OwnRedisEngine) -> None:
    """A fail-over: it passes, nothing landed, and nobody takes it for a wrong request."""
    async with opened(own_engine) as log, Redis.from_url(own_engine.url) as client:
        topic = await new_topic(log)
        await client.replicaof("127.0.0.1", "1")
        with pytest.raises(LogUnavailable, match="ReadOnlyError"):
            await log.append(topic, 0, numbered(0, 1))
        await client.replicaof("NO", "ONE")
        assert await log.append(topic, 0, numbered(0, 1)) == 0


async def test_a_server_that_does_not_fsync_every_append_is_warned_of(own_engine: OwnRedisEngine) -> None:
    for setting, warnings in (("always", []), ("everysec", ["log_not_durable"])):
        async with Redis.from_url(own_engine.url) as client:
            await client.config_set("appendfsync", setting)
        with capture_logs() as logged:
            async with opened(own_engine):
                assert [entry["event"] for entry in logged] == warnings


async def test_an_absent_server_is_unavailable_and_the_password_stays_secret(own_engine: OwnRedisEngine) -> None:
    await own_engine.kill()
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:\d+ does not answer.*HEADRACE_LOG_URL") as raised:
        await RedisStreamsLog.connect(own_engine.url, rollback_horizon_ms=0)
    assert own_engine.url.split("@")[0].split(":")[-1] not in str(raised.value)


async def test_a_lost_reply_is_unknown_to_the_caller_and_lands_once(log_url: str, log: RedisStreamsLog) -> None:
    """The driver's own retry would append the batch a second time."""
    topic = await new_topic(log)
    async with lossy_proxy(log_url) as proxy:
        connecting = RedisStreamsLog.connect(proxy.url, rollback_horizon_ms=0, housekeeping_seconds=None)
        async with closing(await connecting) as through:
            await through.append(topic, 0, numbered(0, 2))
            proxy.lose_reply = True
            with pytest.raises(LogUnavailable):
                await through.append(topic, 0, numbered(2, 2))
            assert values(await read_all(log, topic)) == [b"0", b"1", b"2", b"3"]
            assert await through.append(topic, 0, numbered(4, 1)) == 4


async def test_what_may_be_repeated_survives_a_lost_reply(log_url: str, log: RedisStreamsLog) -> None:
    topic = await new_topic(log)
    await log.append(topic, 0, numbered(0, 2))
    async with lossy_proxy(log_url) as proxy:
        connecting = RedisStreamsLog.connect(proxy.url, rollback_horizon_ms=0, housekeeping_seconds=None)
        async with closing(await connecting) as through:
            for _ in range(2):
                proxy.lose_reply = True
                assert await through.bounds(topic, 0) == Bounds(0, 2)
                proxy.lose_reply = True
                assert len(await through.read(topic, 0, 0)) == 2


async def test_a_batch_cut_in_the_servers_file_vanishes_whole(own_engine: OwnRedisEngine) -> None:
    async with opened(own_engine) as log:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 3))
        file = _append_only_file(own_engine.folder)
        whole = file.stat().st_size
        await log.append(topic, 0, [NewRecord(b"k", b"x" * 300) for _ in range(5)])
        await own_engine.kill()
        with file.open("r+b") as opened_file:
            opened_file.truncate(whole + 1000)
        await own_engine.start()
        assert await log.bounds(topic, 0) == Bounds(0, 3)
        assert await log.append(topic, 0, numbered(3, 1)) == 3
        assert values(await read_all(log, topic)) == [b"0", b"1", b"2", b"3"]


async def test_waiting_costs_the_server_next_to_nothing(log_url: str, log: RedisStreamsLog) -> None:
    topic = await new_topic(log)
    async with Redis.from_url(log_url) as client:
        await asyncio.gather(*(log.read(topic, 0, 0, wait_ms=50) for _ in range(20)))
        before = (await client.info("stats"))["total_commands_processed"]
        await asyncio.gather(*(log.read(topic, 0, 0, wait_ms=1000) for _ in range(20)))
        after = (await client.info("stats"))["total_commands_processed"]
    assert after - before <= 1, "the end was seen, and there was no news: only this question itself"


async def test_waits_share_one_connection_and_cancelled_ones_leak_none(log_url: str, log: RedisStreamsLog) -> None:
    topic = await new_topic(log)
    async with Redis.from_url(log_url) as client:
        for _ in range(3):
            reads = [asyncio.create_task(log.read(topic, n % 3, 0, wait_ms=60_000)) for n in range(200)]
            await log.read(topic, 0, 0, wait_ms=100)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
            assert len(await client.client_list()) <= CONNECTIONS + 2
        await log.close()

        async def alone() -> bool:
            return len(await client.client_list()) == 1

        await eventually(alone)


async def test_an_append_between_the_look_and_the_wait_is_not_slept_through(
    log: RedisStreamsLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await new_topic(log)
    tail = await log._tails.follow(keys.records(topic, 0))
    look = log._read

    async def look_then_append(*arguments: Any) -> list[Record]:
        found = await look(*arguments)
        if not found:
            await log.append(topic, 0, numbered(0, 1))
            await eventually(lambda: tail.count > 1)
        return found

    monkeypatch.setattr(log, "_read", look_then_append)
    async with asyncio.timeout(SOON):
        assert values(await log.read(topic, 0, 0, wait_ms=60_000)) == [b"0"]


async def test_news_of_an_interrupted_subscription_is_made_up_for(log_url: str, log: RedisStreamsLog) -> None:
    topic = await new_topic(log)
    assert await log.read(topic, 0, 0, wait_ms=1) == []
    waiting = asyncio.create_task(log.read(topic, 0, 0, wait_ms=60_000))
    async with Redis.from_url(log_url) as client, asyncio.timeout(SOON):
        await client.client_kill_filter(_type="pubsub")
        await log.append(topic, 0, numbered(0, 1))
        assert values(await waiting) == [b"0"]


async def test_a_subscription_that_falls_silent_is_given_up(
    own_engine: OwnRedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "PING_AFTER", 0.05)
    async with opened(own_engine) as log, asyncio.timeout(SOON):
        topic = await new_topic(log)
        waiting = asyncio.create_task(log.read(topic, 0, 0, wait_ms=60_000))
        with capture_logs() as logged:
            assert await log.read(topic, 1, 0, wait_ms=300) == []
            assert logged == [], "a server that answers pings keeps its subscription"
            own_engine.pause()
            await eventually(lambda: "log_subscription_lost" in [entry["event"] for entry in logged])
        own_engine.resume()
        await log.append(topic, 0, numbered(0, 1))
        assert values(await waiting) == [b"0"]


async def test_a_clock_that_stepped_forward_costs_no_append(log: RedisStreamsLog) -> None:
    """As after an hour of standby: our estimate of the server's clock is behind by more than the deadline."""
    topic = await new_topic(log)
    log._server._ahead -= 3_600_000
    assert await log.append(topic, 0, numbered(0, 1)) == 0


async def test_topics_for_kafka_only_are_skipped(log: RedisStreamsLog) -> None:
    topic = Topic(fresh("topic"), "any", "Compacted.", cleanup="compact", kafka_only=True)
    await log.create_topics([topic], 3)
    await log.create_topics([topic], 4)


async def test_a_closed_log_says_so(log_url: str) -> None:
    log = await RedisStreamsLog.connect(log_url, rollback_horizon_ms=0)
    topic = await new_topic(log)
    await log.close()
    with pytest.raises(LogUnavailable, match="closed"):
        await log.append(topic, 0, numbered(0, 1))


def _append_only_file(folder: Path) -> Path:
    (file,) = folder.glob("log/appendonlydir/*.incr.aof")
    return file
