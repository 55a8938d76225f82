"""The server behind the log: connections that never re-send, deadlines, and the driver's errors as ours."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from headrace.log.port import LogError, LogFull, LogUnavailable, WrongTopicSettings
from headrace.log.redis_streams import scripts
from headrace.log.redis_streams.pipeline import Part, Pipeline, Script

log = structlog.get_logger()

OLDEST_VERSION = 7
# error codes that pass by themselves: a restart, a failover, a disk that an operator frees
_PASSING = ("MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY ", "TRYAGAIN", "CLUSTERDOWN")


class Server:
    """One Valkey or Redis. `timeout` seconds bound every call, waiting for a connection included."""

    def __init__(self, url: str, *, timeout: float, connections: int) -> None:
        # the driver's own retries would send an append twice when only its reply was lost
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=timeout,
            protocol=3,
            retry=Retry(NoBackoff(), 0),
            # `_once` has the deadline: a socket_timeout sends through asyncio.wait_for, which on Python 3.11
            # loses a cancellation that meets the end of the send
            socket_timeout=None,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
            # with it on, the pool would not look whether an idle connection was closed by a restart
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self.client: Redis = Redis.from_pool(pool)
        self.timeout = timeout
        self.address = _address(pool.connection_kwargs)
        self._ahead = 0.0
        self._closed = False
        self._pipeline = Pipeline(self.client, timeout=timeout)
        self._append = Script(self._pipeline, scripts.APPEND)
        self.commit = Script(self._pipeline, scripts.COMMIT)
        self.acquire = Script(self._pipeline, scripts.ACQUIRE)
        self.release = Script(self._pipeline, scripts.RELEASE)
        self.trim = Script(self._pipeline, scripts.TRIM)
        self.rewrite = Script(self._pipeline, scripts.REWRITE)

    async def check(self) -> None:
        """Refuse a server that would break the log's promises. Raises WrongTopicSettings or LogUnavailable."""
        info = await self.call(self.client.info)
        if int(str(info["redis_version"]).split(".")[0]) < OLDEST_VERSION:
            raise WrongTopicSettings(f"{self.address} is too old for the log; use Valkey, or Redis >= 7")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise WrongTopicSettings(
                f"{self.address} would throw records away when full (maxmemory-policy {policy}); "
                "set maxmemory-policy to noeviction"
            )
        await self._warn_unless_durable()
        self._learn_clock(int(1000 * await self.call(self._time)))

    def subscriber(self) -> AbstractConnection:
        """A connection to listen on, not connected yet."""
        pool = self.client.connection_pool
        return pool.connection_class(**pool.connection_kwargs | {"protocol": 2})

    async def append(self, keys: Sequence[str], values: Sequence[bytes]) -> int:
        """Run the append script: the first offset, or a code of `scripts`.

        It carries the time after which the server must not run it: a stalled server that finds the command
        in its socket later appends nothing any more. Where the server's clock had just stepped forward it is
        told so and asks once more.
        """
        result = scripts.APPEND_LATE
        for _ in range(2):
            latest = int(time.monotonic() * 1000 + self._ahead + self.timeout * 1000)
            with self._translated():
                result, now = await self._append(keys, [latest, *values])
            self._learn_clock(now)
            if result != scripts.APPEND_LATE:
                break
        return int(result)

    async def ask(self, *command: Part) -> Any:
        """The reply to a command that may be repeated, as the protocol has it, within the deadline. Raises
        LogUnavailable, LogFull, LogError."""
        with self._translated():
            try:
                return await self._pipeline.ask(*command)
            except RedisConnectionError:
                return await self._pipeline.ask(*command)  # as in `call`

    async def call(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Await a command that may be repeated, within the deadline. Raises LogUnavailable, LogFull, LogError."""

        async def twice(*arguments: Any) -> Any:
            try:
                return await command(*arguments)
            except RedisConnectionError:
                return await command(*arguments)  # an idle connection may have died with a server now back

        return await self._once(twice, *arguments)

    async def close(self) -> None:
        self._closed = True
        await self._pipeline.close()
        with suppress(RedisError, OSError):
            await self.client.aclose(close_connection_pool=True)

    async def _once(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        with self._translated():
            async with asyncio.timeout(self.timeout):
                return await command(*arguments)

    async def _time(self) -> float:
        seconds, micros = await self.client.time()
        return float(seconds) + micros / 1_000_000

    def _learn_clock(self, now: int) -> None:
        """How far the server's clock is ahead of our monotonic one, at least: a reply is as old as its way."""
        self._ahead = now - time.monotonic() * 1000

    async def _warn_unless_durable(self) -> None:
        try:
            found = await self.call(self.client.config_get, "append*")
        except LogUnavailable:
            raise
        except LogError:
            return  # a managed server that hides its settings
        settings = {_text(name): _text(value) for name, value in found.items()}
        if settings.get("appendonly") != "yes" or settings.get("appendfsync") != "always":
            log.warning("log_not_durable", server=self.address, advice="set appendonly yes, appendfsync always")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed:
            raise LogUnavailable("this log is closed")
        try:
            yield
        except OutOfMemoryError as error:
            raise LogFull(
                f"the log on {self.address} is full; it empties as consumers catch up, or raise maxmemory"
            ) from error
        except (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OSError) as error:
            raise LogUnavailable(self._unavailable(error)) from error
        except ResponseError as error:
            if str(error).startswith(_PASSING):
                raise LogUnavailable(self._unavailable(error)) from error
            raise LogError(f"the log on {self.address} refused: {error}") from error

    def _unavailable(self, error: Exception) -> str:
        return f"the log on {self.address} does not answer ({type(error).__name__}); check HEADRACE_LOG_URL"


def _address(settings: dict[str, Any]) -> str:
    """Where the server is, without the password."""
    return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
