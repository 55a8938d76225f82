"""The partition runner survives errors and cancellations, and leaves no task behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted, PartitionRunner
from tests.unit.runtime.fakes import FakeMember

SOON = 5.0


class Worker:
    """Counts starts and ends per partition; `fail` decides what a start does."""

    def __init__(self, fail: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.starts: Counter[int] = Counter()
        self.active: Counter[int] = Counter()
        self._fail = fail
        self._news = asyncio.Event()

    async def work(self, q: int) -> None:
        self.starts[q] += 1
        self.active[q] += 1
        assert self.active[q] == 1, f"partition {q} runs twice"
        self._tell()
        try:
            if self._fail is not None:
                await self._fail(self.starts[q])
            await asyncio.Event().wait()
        finally:
            self.active[q] -= 1
            self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not condition():
                await self._news.wait()

    def running(self) -> frozenset[int]:
        return frozenset(q for q, count in self.active.items() if count)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


@asynccontextmanager
async def running(member: FakeMember, worker: Worker, metrics: Metrics) -> AsyncIterator[asyncio.Task[None]]:
    before = asyncio.all_tasks()
    runner = PartitionRunner(
        member, worker.work, metrics, first_backoff=0.001, last_backoff=0.004, cancel_again=0.05
    )
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=SOON)
        assert asyncio.all_tasks() == before, "a task was left behind"
        assert runner.running == frozenset()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


async def test_workers_follow_the_assignment(metrics: Metrics) -> None:
    member, worker = FakeMember(), Worker()
    async with running(member, worker, metrics):
        for assigned in [{0, 1, 2}, {1}, {1, 3}, set(), {0, 1, 2, 3}]:
            member.assign(*assigned)
            await worker.until(lambda: worker.running() == assigned)  # noqa: B023 - awaited at once
    assert worker.starts[1] == 2, "a partition that stays is not restarted"


async def test_a_failing_worker_is_started_again(metrics: Metrics) -> None:
    async def fail(start: int) -> None:
        if start <= 5:
            raise ValueError("not yet")

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics) as task:
        member.assign(0, 1)
        await worker.until(lambda: worker.starts[0] == worker.starts[1] == 6)
        assert not task.done()
    assert metrics.restarts.labels(0)._value.get() == 5


async def test_a_worker_that_returns_is_started_again(metrics: Metrics) -> None:
    async def fail(start: int) -> None:
        if start == 1:
            raise asyncio.CancelledError  # what it awaited was cancelled, not the worker

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics):
        member.assign(0)
        await worker.until(lambda: worker.starts[0] == 2)


async def test_the_alarm_of_a_halted_partition_stands_until_it_goes_on(metrics: Metrics) -> None:
    helped = asyncio.Event()
    seen: list[float] = []
    gauge = metrics.halted.labels(0)

    async def fail(start: int) -> None:
        seen.append(gauge._value.get())
        if not helped.is_set():
            raise PartitionHalted("wait for help")

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics):
        member.assign(0)
        await worker.until(lambda: worker.starts[0] == 6)
        assert seen[0] == 0
        assert set(seen[1:6]) == {1}, "the alarm flaps with each retry"
        helped.set()
        async with asyncio.timeout(SOON):
            while gauge._value.get():  # noqa: ASYNC110 - a gauge has no event
                await asyncio.sleep(0.001)


async def test_the_alarm_ends_with_the_assignment(metrics: Metrics) -> None:
    async def fail(start: int) -> None:
        raise PartitionHalted("wait for help")

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics):
        member.assign(0)
        await worker.until(lambda: worker.starts[0] == 2)
    assert metrics.halted.labels(0)._value.get() == 0


async def test_a_new_owner_waits_for_the_old_ones_shielded_commit(metrics: Metrics) -> None:
    """Cancelled again and again: neither a second worker of the partition nor an abandoned first one."""
    commit = asyncio.Event()
    committed: list[int] = []

    async def fail(start: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await commit.wait()
            committed.append(start)

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics) as task:
        member.assign(0)
        await worker.until(lambda: worker.starts[0] == 1)
        member.assign()
        for _ in range(5):
            await asyncio.sleep(0)
        member.assign(0)
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done(), "the runner left its worker alone"
        commit.set()
        await asyncio.wait([task], timeout=SOON)
        assert task.cancelled()
    assert committed == [1]


async def test_a_worker_that_loses_a_cancellation_is_cancelled_again(metrics: Metrics) -> None:
    async def fail(start: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics):
        member.assign(0)
        await worker.until(lambda: worker.starts[0] == 1)
        member.assign()
        await worker.until(lambda: not worker.running())


async def test_a_partition_that_went_to_another_leaves_no_gauge_behind(metrics: Metrics) -> None:
    forgotten: list[int] = []
    member, worker = FakeMember(), Worker()
    runner = PartitionRunner(member, worker.work, metrics, forget=forgotten.append)
    task = asyncio.create_task(runner.run())
    member.assign(0, 1)
    await worker.until(lambda: worker.running() == {0, 1})
    for q in (0, 1):
        metrics.lag.labels("t", q).set(7)
        metrics.timers.labels(q).set(7)
    member.assign(1)
    await worker.until(lambda: worker.running() == {1})
    member.assign(1, 2)
    await worker.until(lambda: worker.running() == {1, 2})
    value = metrics.registry.get_sample_value
    assert forgotten == [0]
    assert value("headrace_lag_records", {"topic": "t", "partition": "0"}) is None
    assert value("headrace_timers_armed", {"partition": "0"}) is None
    assert value("headrace_lag_records", {"topic": "t", "partition": "1"}) == 7
    task.cancel()
    await asyncio.wait([task], timeout=SOON)
    assert forgotten[1:] == [1, 2]


async def test_the_runner_ends_when_a_supervisor_dies(metrics: Metrics) -> None:
    """`serve` then ends the process: better a restart than a partition that stands still unseen."""

    class BrokenCounter:
        def labels(self, q: int) -> "BrokenCounter":
            return self

        def inc(self) -> None:
            raise RuntimeError("broken metric")

    async def fail(start: int) -> None:
        raise ValueError("failed")

    metrics.restarts = BrokenCounter()  # type: ignore[assignment]
    member, worker = FakeMember(), Worker(fail)
    async with running(member, worker, metrics) as task:
        member.assign(0, 1)
        with pytest.raises(RuntimeError, match="broken metric"):
            async with asyncio.timeout(SOON):
                await task
