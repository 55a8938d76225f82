"""A lease has one holder, and a holder that was paused knows that it may have lost it."""

from collections.abc import AsyncIterator

import pytest

from headrace.log.redis_streams.lease import Lease
from headrace.log.redis_streams.server import Server
from tests.conformance.log_engine import eventually, fresh


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server(log_url: str) -> AsyncIterator[Server]:
    server = Server(log_url, timeout=3, connections=4)
    yield server
    await server.close()


async def test_one_holder_at_a_time(server: Server) -> None:
    key = fresh("lease")
    first, second = (Lease(server, key, ttl=30) for _ in range(2))
    assert await first.acquire() == 0
    assert 29 < await second.acquire() <= 30
    assert first.remaining() > 29
    assert second.remaining() == 0
    assert await first.acquire() == 0, "renewed"


async def test_release_frees_at_once_and_only_ones_own(server: Server) -> None:
    key = fresh("lease")
    first, second = (Lease(server, key, ttl=30) for _ in range(2))
    await first.acquire()
    await second.release()
    assert await second.acquire() > 0
    await first.release()
    assert first.remaining() == 0
    assert await second.acquire() == 0


async def test_an_unrenewed_lease_runs_out_for_others(server: Server) -> None:
    key = fresh("lease")
    first, second = Lease(server, key, ttl=0.1), Lease(server, key, ttl=30)
    await first.acquire()

    async def taken() -> bool:
        return await second.acquire() == 0

    await eventually(taken)


async def test_a_paused_holder_does_not_believe_its_lease(server: Server) -> None:
    clock = Clock()
    lease = Lease(server, fresh("lease"), ttl=5, monotonic=clock)
    await lease.acquire()
    clock.now += 4.9
    assert lease.remaining() == pytest.approx(0.1)
    clock.now += 0.1
    assert lease.remaining() == 0


async def test_the_way_to_the_server_counts_against_the_lease(server: Server) -> None:
    """Our clock starts before the server's: it may end early, never late."""
    clock = Clock()
    lease = Lease(server, fresh("lease"), ttl=5, monotonic=clock)
    acquire = server.call

    async def slow_call(*arguments: object) -> object:
        clock.now += 2
        return await acquire(*arguments)  # type: ignore[arg-type]

    server.call = slow_call  # type: ignore[method-assign, assignment]
    await lease.acquire()
    assert lease.remaining() == 3
