"""The one connection that commands share: what travels together, and what becomes of it when it breaks."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from headrace.log.port import LogUnavailable
from headrace.log.redis_streams import RedisStreamsLog
from headrace.log.redis_streams.pipeline import SHARED_BYTES, Pipeline, Script
from tests.conformance.log_engine import closing, eventually, new_topic, numbered, opened
from tests.conformance.redis_engine import OwnRedisEngine
from tests.unit.log.lossy_proxy import lossy_proxy

SOON = 10.0


@pytest.fixture
async def pipeline(log_url: str) -> AsyncIterator[Pipeline]:
    async with Redis.from_url(log_url, protocol=3) as client:
        pipeline = Pipeline(client, timeout=3.0)
        yield pipeline
        await pipeline.close()


async def test_every_command_gets_its_own_reply(pipeline: Pipeline) -> None:
    replies = await asyncio.gather(*(pipeline.ask("ECHO", f"{number}") for number in range(100)))
    assert replies == [b"%d" % number for number in range(100)]


async def test_a_refused_command_fails_alone(pipeline: Pipeline) -> None:
    asked = [pipeline.ask("ECHO", "1"), pipeline.ask("NONSENSE"), pipeline.ask("ECHO", "2")]
    first, refused, last = await asyncio.gather(*asked, return_exceptions=True)
    assert (first, last) == (b"1", b"2")
    assert isinstance(refused, ResponseError)


async def test_a_cancelled_asker_takes_nobodys_reply(pipeline: Pipeline) -> None:
    """Cancelled before the command leaves, on the wire, and when the reply is there."""
    for steps in range(30):
        given_up = asyncio.create_task(pipeline.ask("ECHO", "given up"))
        kept = asyncio.create_task(pipeline.ask("ECHO", f"{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        given_up.cancel()
        assert await kept == b"%d" % steps


async def test_an_unknown_script_is_sent_whole_and_then_known(pipeline: Pipeline) -> None:
    await pipeline.ask("SCRIPT", "FLUSH")
    double = Script(pipeline, "return 2 * ARGV[1]")
    assert await asyncio.gather(*(double([], [number]) for number in range(3))) == [0, 2, 4]
    assert await pipeline.ask("SCRIPT", "EXISTS", double._hash) == [1]


async def test_a_large_command_waits_for_no_small_one(pipeline: Pipeline) -> None:
    """Nor are large appends fsynced one by one, as they would be on one connection."""
    blocked = asyncio.create_task(pipeline.ask("BLPOP", "absent", 0))
    length = Script(pipeline, "return #ARGV[1]")
    async with asyncio.timeout(SOON):
        assert await length([], [bytes(SHARED_BYTES + 1)]) == SHARED_BYTES + 1
    small = asyncio.create_task(length([], [bytes(SHARED_BYTES)]))
    assert await length([], [bytes(SHARED_BYTES + 1)]) == SHARED_BYTES + 1
    assert not small.done()
    for waiting in (blocked, small):
        waiting.cancel()


async def test_what_is_asked_in_one_turn_leaves_in_one_write(log_url: str, log: RedisStreamsLog) -> None:
    topic = await new_topic(log)
    async with lossy_proxy(log_url) as proxy:
        connecting = RedisStreamsLog.connect(proxy.url, rollback_horizon_ms=0, housekeeping_seconds=None)
        async with closing(await connecting) as through:
            await asyncio.gather(*(through.append(topic, q, numbered(0, 1)) for q in range(3)))
            before = proxy.requests
            await asyncio.gather(*(through.bounds(topic, q) for q in range(3)))
            assert proxy.requests == before + 1
            await asyncio.gather(*(through.append(topic, q, numbered(1, 1)) for q in range(3)))
            assert proxy.requests == before + 2


async def test_a_connection_that_breaks_fails_what_is_on_its_way_and_is_made_again(
    log_url: str, pipeline: Pipeline
) -> None:
    number = await pipeline.ask("CLIENT", "ID")
    waiting = asyncio.create_task(pipeline.ask("BLPOP", "absent", 0))
    async with Redis.from_url(log_url) as other, asyncio.timeout(SOON):

        async def blocked() -> bool:
            return int((await other.info("clients"))["blocked_clients"]) > 0

        await eventually(blocked)
        await other.client_kill_filter(_id=number)
        with pytest.raises(RedisConnectionError):
            await waiting
    assert await pipeline.ask("ECHO", "again") == b"again"


async def test_a_server_that_stands_still_costs_the_connection_not_the_log(own_engine: OwnRedisEngine) -> None:
    """What a caller gave up waiting for must not hold up, nor be taken for, what is asked later."""
    async with opened(own_engine) as log:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 1))
    connecting = RedisStreamsLog.connect(
        own_engine.url, rollback_horizon_ms=0, timeout=0.3, housekeeping_seconds=None
    )
    async with closing(await connecting) as hasty:
        assert (await hasty.bounds(topic, 0)).end == 1
        line = hasty._server._pipeline._line
        own_engine.pause()
        with pytest.raises(LogUnavailable):
            await hasty.bounds(topic, 0)
        own_engine.resume()
        assert line is not None
        assert line.broken
        assert (await hasty.bounds(topic, 0)).end == 1


async def test_closing_ends_what_is_on_its_way(log_url: str) -> None:
    async with Redis.from_url(log_url, protocol=3) as client:
        pipeline = Pipeline(client, timeout=3.0)
        waiting = asyncio.create_task(pipeline.ask("BLPOP", "absent", 0))
        await eventually(lambda: pipeline._line is not None)
        for _ in range(2):
            await pipeline.close()
        async with asyncio.timeout(SOON):
            with pytest.raises(RedisConnectionError, match="closed"):
                await waiting
