"""Redis Streams keeps the log's port."""

from collections.abc import Iterator

import pytest

from headrace.log.port import Log
from tests.conformance.log_engine import LogEngine
from tests.conformance.log_full import FullLogTests
from tests.conformance.log_suite import LogSuite
from tests.conformance.log_trimming import TrimmingTests
from tests.conformance.redis_engine import LEASE_SECONDS, OwnRedisEngine, RedisEngine, own_redis


@pytest.mark.embedded
class TestRedisStreams(LogSuite, TrimmingTests, FullLogTests):
    settles = 1.0
    handover = 1.0
    shares = False
    unrenewed = 1.5 * LEASE_SECONDS

    @pytest.fixture
    def engine(self, log_valkey_url: str) -> RedisEngine:
        return RedisEngine(log_valkey_url)

    @pytest.fixture
    def own_engine(self) -> Iterator[OwnRedisEngine]:
        with own_redis() as engine:
            yield engine

    @pytest.mark.xfail(strict=True, raises=TimeoutError, reason="one active member per group; Kafka scales out")
    async def test_members_share_the_partitions(self, engine: LogEngine, log: Log) -> None:
        await super().test_members_share_the_partitions(engine, log)
