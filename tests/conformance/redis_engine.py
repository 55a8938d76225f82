"""Valkey under the Redis Streams adapter, as the log's suite drives it."""

import asyncio
import contextlib
from collections.abc import Iterator

from redis import Redis

from headrace.log.port import Log
from headrace.log.redis_streams import RedisStreamsLog
from tests import engines
from tests.conformance.log_engine import SharedEngine

ROOM = 3_000_000
# shorter than the default, which processes of their own (member_process) keep
LEASE_SECONDS = 2.0


class RedisEngine(SharedEngine):
    """See `LogEngine`. `url` is of a server that runs already; only `OwnRedisEngine` can be killed."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    async def open(self, *, horizon_ms: int, timeout: float, max_record_bytes: int) -> RedisStreamsLog:
        return await RedisStreamsLog.connect(
            self._url,
            rollback_horizon_ms=horizon_ms,
            timeout=timeout,
            max_record_bytes=max_record_bytes,
            lease_seconds=LEASE_SECONDS,
            housekeeping_seconds=None,
        )

    async def trim(self, log: Log) -> None:
        assert isinstance(log, RedisStreamsLog)
        await log.trim()

    async def shrink(self) -> None:
        with Redis.from_url(self._url) as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", used + ROOM)


class OwnRedisEngine(RedisEngine):
    """A server of one test's own."""

    def __init__(self, valkey: engines.OwnValkey) -> None:
        super().__init__(valkey.url)
        self.folder = valkey.folder
        self._valkey = valkey

    async def start(self) -> None:
        # in a thread: clients must see their connections break meanwhile
        await asyncio.to_thread(self._valkey.start)

    async def kill(self) -> None:
        await asyncio.to_thread(self._valkey.kill)

    def pause(self) -> None:
        self._valkey.pause()

    def resume(self) -> None:
        self._valkey.resume()


@contextlib.contextmanager
def own_redis() -> Iterator[OwnRedisEngine]:
    """A running server on a free port, its data in a temporary folder."""
    with engines.own_valkey() as valkey:
        yield OwnRedisEngine(valkey)
