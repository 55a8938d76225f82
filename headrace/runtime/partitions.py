"""Runs one worker per assigned partition, starts and stops them as the group's assignment moves."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from headrace.contracts.errors import HeadraceError
from headrace.log.port import Member
from headrace.runtime.metrics import Metrics

log = structlog.get_logger()

FIRST_BACKOFF = 0.2
LAST_BACKOFF = 5.0
CANCEL_AGAIN = 5.0


class PartitionHalted(HeadraceError):
    """The partition cannot go on without help; it is tried again, and an alarm stands meanwhile."""


class PartitionRunner:
    """Supervises `work(q)` for every assigned partition. `work` runs until cancelled; when it raises it is
    started again with a growing pause. Workers shield their own commits: cancellation may come at any await.
    A partition's worker has ended before another of the same partition starts. `forget(q)` is told when a
    partition is not ours any more.
    """

    def __init__(
        self,
        member: Member,
        work: Callable[[int], Awaitable[None]],
        metrics: Metrics,
        *,
        first_backoff: float = FIRST_BACKOFF,
        last_backoff: float = LAST_BACKOFF,
        cancel_again: float = CANCEL_AGAIN,
        forget: Callable[[int], None] = lambda q: None,
    ) -> None:
        self._member = member
        self._work = work
        self._metrics = metrics
        self._first_backoff = first_backoff
        self._last_backoff = last_backoff
        self._cancel_again = cancel_again
        self._forget = forget
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def running(self) -> frozenset[int]:
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Follow the assignment until cancelled; then stop every worker."""
        try:
            while True:
                await self._follow(self._member.assigned())
                await self._change()
        finally:
            await self._stop(self.running)

    async def _change(self) -> None:
        """Wait until the assignment differs from what runs. Raises what a supervisor died of: it never ends
        otherwise, and a partition without one would stand still unseen."""
        changed = asyncio.ensure_future(self._member.changed(self.running))
        try:
            done, _ = await asyncio.wait([changed, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)

    async def _follow(self, assigned: frozenset[int]) -> None:
        await self._stop(self.running - assigned)
        for q in sorted(assigned - self.running):
            log.info("partition_assigned", partition=q)
            self._tasks[q] = asyncio.create_task(self._supervise(q), name=f"partition-{q}")

    async def _stop(self, partitions: Collection[int]) -> None:
        """Cancel and await the workers. A cancellation meanwhile is kept back until they have ended."""
        tasks = {q: self._tasks[q] for q in partitions}
        for task in tasks.values():
            task.cancel()
        cancelled = False
        while left := [task for task in tasks.values() if not task.done()]:
            try:
                done, _ = await asyncio.wait(left, timeout=self._cancel_again)
            except asyncio.CancelledError:
                cancelled = True
                continue
            if not done:  # on Python 3.11 asyncio.wait_for, used by drivers, may lose a cancellation
                for task in left:
                    task.cancel()
        for q, task in tasks.items():
            del self._tasks[q]
            self._forget(q)
            self._metrics.forget_partition(q)
            if not task.cancelled():
                task.exception()  # seen: `_change` has raised it
        if cancelled:
            raise asyncio.CancelledError

    async def _supervise(self, q: int) -> None:
        loop = asyncio.get_running_loop()
        halted = self._metrics.halted.labels(q)
        backoff = self._first_backoff
        try:
            while True:
                started = loop.time()
                # the alarm outlasts the retries: it falls once a worker has kept going
                fine = loop.call_later(2 * self._last_backoff, halted.set, 0)
                try:
                    await self._attempt(q)
                finally:
                    fine.cancel()
                self._metrics.restarts.labels(q).inc()
                if loop.time() - started > 2 * self._last_backoff:
                    backoff = self._first_backoff
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, self._last_backoff)
        finally:
            halted.set(0)

    async def _attempt(self, q: int) -> None:
        try:
            await self._work(q)
        except PartitionHalted as error:
            self._metrics.halted.labels(q).set(1)
            log.error("partition_halted", partition=q, error=str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # something the worker awaited was cancelled, not the worker
            log.warning("partition_failed", partition=q, error="CancelledError")
        except Exception as error:
            log.warning("partition_failed", partition=q, error=type(error).__name__, exc_info=error)
