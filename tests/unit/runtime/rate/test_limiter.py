"""The limiter of a process on real Redis buckets, and without them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from headrace.local.ports import free_port
from headrace.runtime.metrics import Metrics
from headrace.runtime.rate.bucket import Bucket, Grant, Rate
from headrace.runtime.rate.buckets import Buckets, BucketsUnavailable, Lease, RedisBuckets
from headrace.runtime.rate.limiter import PAUSE_MS, RateLimiter

SLOW = Rate(0.01, 40)
"""Nothing is earned during a test."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def limiter(shared: Buckets | None, clock: Callable[[], int]) -> AsyncIterator[RateLimiter]:
    made = RateLimiter(shared, Metrics("test"), clock)
    try:
        yield made
    finally:
        await made.close()


async def passes(limiters: Sequence[RateLimiter], key: str, rate: Rate, requests: int) -> int:
    """How many of the requests, given to the limiters in turn, pass."""
    passed = 0
    for number in range(requests):
        each = limiters[number % len(limiters)]
        passed += each.take("address", key, rate) == 0
        await each.settled()
    return passed


async def test_processes_share_one_bucket(redis_url: str) -> None:
    clock = Clock()
    async with limiter(RedisBuckets(redis_url), clock) as one, limiter(RedisBuckets(redis_url), clock) as two:
        passed = await passes([one, two], "203.0.113.7", SLOW, 200)
        assert SLOW.burst <= passed <= SLOW.burst + 2 * SLOW.swing
        assert one.take("address", "203.0.113.7", SLOW) > 1
        assert one.take("address", "203.0.113.8", SLOW) == 0
        assert one.take("key", "203.0.113.7", SLOW) == 0


async def test_no_round_trip_for_a_request(redis_url: str) -> None:
    rate = Rate(1000.0, 10_000)
    async with limiter(RedisBuckets(redis_url), Clock()) as one, Redis.from_url(redis_url) as client:
        before = (await client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]
        assert await passes([one], "k", rate, 5_000) == 5_000
        after = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 30


async def test_redis_knows_no_address_and_forgets_the_bucket(redis_url: str) -> None:
    async with limiter(RedisBuckets(redis_url, prefix="shop."), Clock()) as one:
        one.take("address", "203.0.113.7", Rate(10.0, 20))
        await one.settled()
        async with Redis.from_url(redis_url) as client:
            (key,) = await client.keys("*")
            assert isinstance(key, bytes)
            assert key.startswith(b"shop.{rate}:address:")
            assert b"203" not in key
            assert 0 < await client.pttl(key) <= 3_000


class Gone:
    """Buckets that do not answer while `down`."""

    def __init__(self) -> None:
        self.down = True
        self.asked = 0

    async def lease(self, leases: Sequence[Lease]) -> Sequence[Grant]:
        self.asked += 1
        if self.down:
            raise BucketsUnavailable("gone")
        return [Grant(lease.wanted, 1.0) for lease in leases]

    async def close(self) -> None:
        self.down = True


async def test_without_redis_each_process_counts_alone(redis_url: str) -> None:
    clock = Clock()
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    async with limiter(RedisBuckets(nowhere), clock) as one, limiter(None, clock) as two:
        for each in (one, two):
            passed = await passes([each], "a", SLOW, 100)
            assert SLOW.burst <= passed <= SLOW.burst + SLOW.swing
            assert each._metrics.rate_local._value.get() == 1


async def test_redis_is_asked_again_after_a_pause() -> None:
    clock, shared = Clock(), Gone()
    async with limiter(shared, clock) as one:
        await passes([one], "a", SLOW, 30)
        assert shared.asked == 1
        shared.down = False
        clock.now += PAUSE_MS
        await passes([one], "b", SLOW, 1)
        assert shared.asked == 2
        assert one._metrics.rate_local._value.get() == 0


class Broken(Gone):
    """Raises what no driver should."""

    async def lease(self, leases: Sequence[Lease]) -> Sequence[Grant]:
        raise RuntimeError("the handler is closed")


async def test_an_error_that_nobody_foresaw_refuses_nobody_for_ever() -> None:
    clock, rate = Clock(), Rate(10.0, 40)
    async with limiter(Broken(), clock) as one:
        with contextlib.suppress(RuntimeError):
            await passes([one], "a", rate, 10)
        clock.now += 10_000
        assert await passes([one], "a", rate, 40) == 40
        assert one._metrics.rate_local._value.get() == 1


async def test_many_keys_are_asked_together() -> None:
    shared = Gone()
    shared.down = False
    async with limiter(shared, Clock()) as one:
        for number in range(100):
            assert one.take("address", str(number), SLOW) == 0
        await one.settled()
        assert shared.asked == 1


async def test_a_redis_that_hangs_holds_up_nobody() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, limiter(RedisBuckets(f"redis://127.0.0.1:{port}/0"), Clock()) as one:
        assert one.take("address", "a", SLOW) == 0
        async with asyncio.timeout(5):
            await one.settled()
        assert one._metrics.rate_local._value.get() == 1


async def test_a_rate_that_is_changed_counts_at_once() -> None:
    clock = Clock()
    async with limiter(None, clock) as one:
        await passes([one], "a", SLOW, 100)
        assert one.take("address", "a", SLOW) > 0
        clock.now += 1_000
        assert await passes([one], "a", Rate(100.0, 100), 50) == 50


async def test_no_rate_is_no_limit() -> None:
    async with limiter(None, Clock()) as one:
        assert all(one.take("address", "a", None) == 0 for _ in range(1_000))


async def test_what_is_only_looked_at_is_not_counted() -> None:
    async with limiter(None, Clock()) as one:
        assert all(one.exhausted("admin", "a", SLOW) == 0 for _ in range(1_000))
        assert await passes([one], "b", SLOW, 100) < 100
        assert one.exhausted("address", "b", SLOW) > 0


RATES = st.builds(Rate, st.sampled_from([0.1, 1.0, 33.3, 1000.0]), st.integers(1, 500))


@given(RATES, st.lists(st.integers(0, 60), min_size=1, max_size=15))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_redis_and_the_pure_bucket_give_alike(redis_url: str, rate: Rate, wanted: list[int]) -> None:
    asyncio.run(_alike(redis_url, rate, wanted, str(uuid4())))


async def _alike(redis_url: str, rate: Rate, wanted: list[int], key: str) -> None:
    """The script says at what time it gave; the pure bucket gives at the same times."""
    buckets = RedisBuckets(redis_url)
    bucket: Bucket | None = None
    try:
        for each in wanted:
            at, granted, left = await buckets._lease(
                [buckets.name_of(Lease("s", key, rate, each))], [rate.per_second, rate.burst, each]
            )
            bucket = bucket or Bucket(rate, rate.burst, int(at))
            expected = bucket.lease(each, int(at))
            assert int(granted) == expected.tokens
            assert float(left) == pytest.approx(expected.level)
    finally:
        await buckets.close()
