"""An input that stands still without a word ends its process; one that waits, works, fails or has an alarm does
not."""

import pytest

from headrace.log.port import LogUnavailable
from headrace.runtime import backlog as backlog_module
from headrace.runtime.backlog import LONGEST_LOOK, Backlog, Backlogs
from headrace.runtime.metrics import Metrics
from headrace.runtime.watchdog import Sign, Stalled, Standstill, longer
from tests.unit.runtime.test_backlog import TOPIC, Ends, Q

STALL = 120.0
LOOK = 5.0


class Watched:
    """An input at 4 of 10 records, and a clock that the test moves."""

    def __init__(self) -> None:
        self.log, self.metrics, self.now = Ends(), Metrics("test"), 500.0
        self.log.end = 10
        self.backlogs = Backlogs(self.log, self.metrics, clock=lambda: 0, monotonic=lambda: self.now)
        self.reader: Backlog = self.backlogs.of(TOPIC, Q)
        self.reader.at(4)

    async def pass_(self, seconds: float) -> None:
        """Look every five seconds for so long. Raises Stalled."""
        for _ in range(int(seconds / LOOK)):
            self.now += LOOK
            await self.backlogs.look()
            self.backlogs.check(STALL)

    def standstill(self) -> float | None:
        labels = {"topic": TOPIC, "partition": str(Q)}
        return self.metrics.registry.get_sample_value("headrace_input_standstill_seconds", labels)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_standstill_grows_as_long_as_nothing_changes() -> None:
    first = longer(None, Sign(4, 0), 5)
    assert first == Standstill(Sign(4, 0), 0)
    assert longer(first, Sign(4, 0), 5) == Standstill(Sign(4, 0), 5)
    assert longer(first, Sign(5, 0), 5) == Standstill(Sign(5, 0), 0)
    assert longer(first, Sign(4, 1), 5) == Standstill(Sign(4, 1), 0)


async def test_an_input_that_does_not_move_is_stalled(watched: Watched) -> None:
    await watched.pass_(STALL)
    assert watched.standstill() == STALL - LOOK
    with pytest.raises(Stalled, match=f"{TOPIC}/{Q} has stood at 4 for 120 s"):
        await watched.pass_(LOOK)


async def test_a_reader_that_asks_again_without_moving_is_stalled_too(watched: Watched) -> None:
    for _ in range(int(STALL / LOOK)):
        watched.reader.at(4)
        await watched.pass_(LOOK)
    with pytest.raises(Stalled):
        await watched.pass_(LOOK)


async def test_nothing_to_read_is_no_standstill(watched: Watched) -> None:
    watched.reader.at(10)
    await watched.pass_(10 * STALL)
    assert watched.standstill() == 0


async def test_what_moves_slowly_is_not_stalled(watched: Watched) -> None:
    for place in range(4, 10):
        watched.reader.at(place)
        await watched.pass_(STALL - 2 * LOOK)


async def test_one_record_of_many_commits_is_not_stalled(watched: Watched) -> None:
    for _ in range(10):
        watched.reader.work()
        await watched.pass_(STALL - 2 * LOOK)


async def test_what_is_held_back_with_an_alarm_is_not_stalled(watched: Watched) -> None:
    watched.reader.at(4, 1_000)
    await watched.pass_(10 * STALL)


async def test_a_rebuild_before_the_first_read_is_not_stalled(watched: Watched) -> None:
    watched.backlogs.of(TOPIC, Q)
    await watched.pass_(10 * STALL)
    watched.reader.at(4)
    with pytest.raises(Stalled):
        await watched.pass_(STALL + LOOK)


async def test_a_worker_that_fails_again_and_again_is_not_stalled(watched: Watched) -> None:
    for _ in range(10):
        watched.backlogs.of(TOPIC, Q).at(4)
        await watched.pass_(STALL - 2 * LOOK)


async def test_while_the_log_is_away_nothing_is_stalled(watched: Watched) -> None:
    await watched.pass_(STALL - LOOK)
    watched.log.down = True
    for _ in range(100):
        watched.now += LOOK
        with pytest.raises(LogUnavailable):
            await watched.backlogs.look()
        watched.backlogs.check(STALL)
    watched.log.down = False
    await watched.pass_(STALL - LOOK)


async def test_a_process_that_was_stopped_is_not_stalled(watched: Watched) -> None:
    await watched.pass_(2 * LOOK)
    watched.now += 100 * STALL
    await watched.pass_(LOOK)
    assert watched.standstill() == LOOK + LONGEST_LOOK


async def test_what_is_anothers_is_not_watched(watched: Watched) -> None:
    await watched.pass_(STALL - LOOK)
    watched.backlogs.forget(Q)
    await watched.pass_(10 * STALL)


async def test_a_stall_ends_the_watching_and_so_the_process(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog_module, "LOOK_SECONDS", 0)

    async def look_again() -> None:
        watched.now += LOOK
        await Backlogs.look(watched.backlogs)

    monkeypatch.setattr(watched.backlogs, "look", look_again)
    with pytest.raises(Stalled):
        await watched.backlogs.run(STALL)
