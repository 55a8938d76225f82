"""Runs one worker per assigned partition, starts and stops them as the group's assignment moves."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from headrace.contracts.errors import HeadraceError
from headrace.log.port import Member
from headrace.runtime.metrics import Metrics

log = structlog.get_logger()

FIRST_BACKOFF = 0.2
LAST_BACKOFF = 5.0


class PartitionHalted(HeadraceError):
    """The partition cannot go on without help; it is tried again, and an alarm stands meanwhile."""


class PartitionRunner:
    """Supervises `work(q)` for every assigned partition. `work` runs until cancelled; when it raises it is
    started again with a growing pause. Workers shield their own commits: cancellation may come at any await.
    """

    def __init__(self, member: Member, work: Callable[[int], Awaitable[None]], metrics: Metrics) -> None:
        self._member = member
        self._work = work
        self._metrics = metrics
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def running(self) -> frozenset[int]:
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Follow the assignment until cancelled; then stop every worker."""
        known: frozenset[int] = frozenset()
        try:
            while True:
                await self._follow(self._member.assigned())
                known = self.running
                await self._member.changed(known)
        finally:
            await self._follow(frozenset())

    async def _follow(self, assigned: frozenset[int]) -> None:
        gone = [self._tasks.pop(q) for q in list(self._tasks) if q not in assigned]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        for q in sorted(assigned - set(self._tasks)):
            log.info("partition_assigned", partition=q)
            self._tasks[q] = asyncio.create_task(self._supervise(q), name=f"partition-{q}")

    async def _supervise(self, q: int) -> None:
        backoff = FIRST_BACKOFF
        halted = self._metrics.halted.labels(q)
        loop = asyncio.get_running_loop()
        while True:
            halted.set(0)
            started = loop.time()
            try:
                await self._work(q)
            except PartitionHalted as error:
                halted.set(1)
                log.error("partition_halted", partition=q, error=str(error))
            except Exception as error:
                log.warning("partition_failed", partition=q, error=type(error).__name__, exc_info=error)
            self._metrics.restarts.labels(q).inc()
            if loop.time() - started > LAST_BACKOFF * 2:
                backoff = FIRST_BACKOFF
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)
