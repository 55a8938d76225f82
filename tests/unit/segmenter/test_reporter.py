"""How far definitions are is written at once when they are ready, and about once a second until then."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import asyncpg
import pytest

from headrace.runtime.metrics import Metrics
from services.segmenter import reporter as module
from services.segmenter.controls import Controls
from services.segmenter.definitions import Backfilling, Definitions, Report
from services.segmenter.reporter import Reporter


class FakeDefinitions:
    def __init__(self) -> None:
        self.reports: asyncio.Queue[list[Report]] = asyncio.Queue()
        self.progress: asyncio.Queue[list[Backfilling]] = asyncio.Queue()
        self.failures = 0

    async def report(self, reports: Sequence[Report]) -> None:
        if self.failures:
            self.failures -= 1
            raise asyncpg.InterfaceError("away")
        self.reports.put_nowait(list(reports))

    async def backfilling(self, parts: Sequence[Backfilling]) -> None:
        self.progress.put_nowait(list(parts))


class FakeControls:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


class Desk:
    def __init__(self) -> None:
        self.now = 1_000_000
        self.definitions, self.controls = FakeDefinitions(), FakeControls()
        self.reporter = Reporter(
            cast(Definitions, self.definitions),
            cast(Controls, self.controls),
            Metrics("segmenter"),
            clock=lambda: self.now,
        )


@pytest.fixture
async def desk() -> Any:
    desk = Desk()
    running = asyncio.ensure_future(desk.reporter.run())
    yield desk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_progress_is_written_once_a_second_the_latest_of_each(desk: Desk) -> None:
    desk.reporter.backfilling(0, {"a": 1}, done=1, total=9)
    assert await desk.definitions.progress.get() == [Backfilling("a", 1, 0, 1, 9)]
    for done in (2, 3):
        desk.now += 499
        desk.reporter.backfilling(0, {"a": 1, "b": 2}, done=done, total=9)
    await asyncio.sleep(0)
    assert desk.definitions.progress.empty()
    desk.now += 2
    desk.reporter.backfilling(1, {"a": 1}, done=4, total=8)
    assert await desk.definitions.progress.get() == [
        Backfilling("a", 1, 0, 3, 9),
        Backfilling("a", 1, 1, 4, 8),
        Backfilling("b", 2, 0, 3, 9),
    ]
    assert desk.controls.woken == 0


async def test_what_is_ready_is_written_at_once_and_until_it_is_stored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    desk.definitions.failures = 2
    desk.reporter.definitions(0, ready={"a": 1}, live={"b": 2})
    expected = [Report("a", 1, 0, live=False), Report("b", 2, 0, live=True)]
    assert await desk.definitions.reports.get() == expected
    desk.reporter.definitions(0, ready={"a": 1}, live={"b": 2})
    desk.reporter.definitions(0, ready={}, live={"a": 1})
    assert await desk.definitions.reports.get() == [Report("a", 1, 0, live=True)]
    assert desk.controls.woken == 2


async def test_ready_and_live_before_either_is_written_is_one_report(desk: Desk) -> None:
    desk.reporter.definitions(0, ready={"a": 1, "b": 1}, live={})
    desk.reporter.definitions(0, ready={"b": 1}, live={"a": 1})
    assert await desk.definitions.reports.get() == [
        Report("a", 1, 0, live=True),
        Report("b", 1, 0, live=False),
    ]
