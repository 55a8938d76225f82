"""Trimming: a record goes when every declared group has passed it and it is older than the horizon."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from headrace.log.port import LogError
from headrace.log.redis_streams import keys
from headrace.log.redis_streams.lease import Lease
from headrace.log.redis_streams.server import Server
from headrace.log.redis_streams.topics import Declared

log = structlog.get_logger()

# a script holds the server up: this many entries take a few milliseconds
STEP = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records stay. What groups read: until all have passed it and `horizon_ms` is over. What no
    group reads (dead letters): `unread_ms`, and at most `unread_records` a partition."""

    horizon_ms: int
    unread_ms: int = 30 * 86_400_000
    unread_records: int = 50_000


async def trim(server: Server, topics: Mapping[str, Declared], retention: Retention) -> int:
    """Trim every partition once, together; return how many records went. Raises LogError."""
    partitions = [
        _trim_partition(server, name, partition, declared.groups, retention)
        for name, declared in topics.items()
        for partition in range(declared.partitions)
    ]
    return sum(await asyncio.gather(*partitions))


async def _trim_partition(
    server: Server, topic: str, partition: int, groups: tuple[str, ...], retention: Retention
) -> int:
    age, keep = (retention.horizon_ms, 0) if groups else (retention.unread_ms, retention.unread_records)
    names = [keys.records(topic, partition), keys.meta(topic, partition), keys.committed(topic, partition)]
    gone = 0
    while removed := int(await server.call(server.trim, names, [age, keep, STEP, *groups])):
        gone += removed
    return gone


async def keep_house(lease: Lease, trim_all: Callable[[], Awaitable[int]], interval: float) -> None:
    """Trim every `interval` seconds, in one of the processes that use the log. Runs until cancelled."""
    while True:
        await asyncio.sleep(interval)
        try:
            if await lease.acquire() == 0:
                await trim_all()
        except LogError as error:
            log.warning("trim_failed", reason=str(error))
