"""A place in a consumer group: whoever holds the group's lease has every partition, the others stand by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from headrace.log.port import LogError
from headrace.log.redis_streams.lease import Lease
from headrace.log.redis_streams.tails import Tail

log = structlog.get_logger()

Commit = Callable[[str, int, int], Awaitable[None]]

RENEWALS_PER_TTL = 5
RETRY_AFTER = 0.25


class RedisMember:
    """See `headrace.log.port.Member`. `handovers` brings news of members that leave."""

    def __init__(self, group: str, partitions: int, lease: Lease, handovers: Tail, commit: Commit) -> None:
        self._group = group
        self._all = frozenset(range(partitions))
        self._lease = lease
        self._handovers = handovers
        self._commit = commit
        self._changed = asyncio.Event()
        self._left = False
        self.failed_commits = 0
        self._task = asyncio.create_task(self._stay(), name=f"member-{group}")

    def assigned(self) -> frozenset[int]:
        return self._all if self._lease.remaining() else frozenset()

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        while (now := self.assigned()) == known:
            # an unrenewed lease runs out without anybody telling
            patience = self._lease.remaining() if now else None
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._changed.wait()
        return now

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        try:
            await self._commit(topic, partition, next_offset)
        except LogError as error:
            self.failed_commits += 1
            log.warning("commit_failed", group=self._group, topic=topic, partition=partition, reason=str(error))

    async def leave(self) -> None:
        if self._left:
            return
        self._left = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._lease.release()
        except LogError as error:
            log.warning("leave_failed", group=self._group, reason=str(error))
        self._tell()

    async def _stay(self) -> None:
        while True:
            seen = self._handovers.count
            try:
                wait = await self._lease.acquire()
            except LogError as error:
                log.warning("lease_failed", group=self._group, reason=str(error))
                wait = RETRY_AFTER
            self._tell()
            if self._lease.remaining():
                await asyncio.sleep(self._lease.ttl / RENEWALS_PER_TTL)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._handovers.moved(seen)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
