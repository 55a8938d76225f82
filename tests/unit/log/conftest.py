"""An engine of a test's own, and a log on the session's."""

from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.log.redis_streams import RedisStreamsLog
from tests.conformance.redis_engine import OwnRedisEngine, own_redis


@pytest.fixture
def own_engine() -> Iterator[OwnRedisEngine]:
    with own_redis() as engine:
        yield engine


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[RedisStreamsLog]:
    log = await RedisStreamsLog.connect(log_url, rollback_horizon_ms=0, housekeeping_seconds=None)
    yield log
    await log.close()
