"""What waits in front of an input: also counted while nobody applies it, forgotten when it is another's."""

import pytest

from headrace.log.port import Bounds, LogUnavailable
from headrace.runtime.backlog import Backlogs, Seen, age_seconds, stands_since
from headrace.runtime.metrics import Metrics

TOPIC, Q = "cdp.events.v1", 3


class Ends:
    """A log of which only the end is known, or that is down."""

    def __init__(self) -> None:
        self.end = 0
        self.down = False

    async def bounds(self, topic: str, partition: int) -> Bounds:
        if self.down:
            raise LogUnavailable("down")
        return Bounds(0, self.end)


class Looked:
    """Backlogs with a clock that the test moves."""

    def __init__(self) -> None:
        self.log, self.metrics, self.now = Ends(), Metrics("test"), 1_000_000
        self.backlogs = Backlogs(self.log, self.metrics, clock=lambda: self.now)

    def gauge(self, name: str) -> float | None:
        labels = {"topic": TOPIC, "partition": str(Q)}
        return self.metrics.registry.get_sample_value(f"headrace_{name}", labels)

    def shown(self) -> tuple[float | None, float | None]:
        """Lag and age."""
        return self.gauge("lag_records"), self.gauge("oldest_unprocessed_age_seconds")


@pytest.fixture
def looked() -> Looked:
    return Looked()


@pytest.mark.parametrize(
    ("oldest", "seen", "age"),
    [
        (None, None, 0),
        (4_000, None, 6),
        (None, Seen(5, 7_000), 3),
        (4_000, Seen(5, 7_000), 6),
        (9_000, Seen(5, 7_000), 3),
        (11_000, None, 0),
    ],
)
def test_age(oldest: int | None, seen: Seen | None, age: float) -> None:
    assert age_seconds(oldest, seen, 10_000) == age


def test_an_input_stands_since_it_was_first_seen_there_with_records_behind_it() -> None:
    first = stands_since(None, 5, 2, 1_000)
    assert first == Seen(5, 1_000)
    assert stands_since(first, 5, 3, 2_000) == first
    assert stands_since(first, 6, 3, 2_000) == Seen(6, 2_000)
    assert stands_since(first, 5, 0, 2_000) is None


async def test_what_is_applied_leaves_nothing(looked: Looked) -> None:
    looked.backlogs.of(TOPIC, Q)
    await looked.backlogs.look()
    assert looked.shown() == (None, None), "not before the reader knows where it stands"
    looked.log.end = 10
    looked.backlogs.of(TOPIC, Q).at(10)
    await looked.backlogs.look()
    assert looked.shown() == (0, 0)


async def test_what_is_being_applied_ages_by_the_logs_time(looked: Looked) -> None:
    looked.log.end = 10
    backlog = looked.backlogs.of(TOPIC, Q)
    backlog.at(4, looked.now - 2_000)
    await looked.backlogs.look()
    assert looked.shown() == (6, 2)
    looked.now += 60_000
    await looked.backlogs.look()
    assert looked.shown() == (6, 62)
    backlog.at(10)
    await looked.backlogs.look()
    assert looked.shown() == (0, 0)


async def test_a_reader_that_reads_nothing_ages_as_well(looked: Looked) -> None:
    looked.log.end = 10
    looked.backlogs.of(TOPIC, Q).at(4)
    await looked.backlogs.look()
    looked.now += 30_000
    await looked.backlogs.look()
    assert looked.shown() == (6, 30)


async def test_a_worker_that_starts_again_does_not_make_it_young(looked: Looked) -> None:
    looked.log.end = 10
    looked.backlogs.of(TOPIC, Q).at(4, looked.now)
    looked.now += 30_000
    assert looked.backlogs.of(TOPIC, Q).next_offset == 4
    await looked.backlogs.look()
    assert looked.shown() == (6, 30)


async def test_while_the_log_is_down_ages_grow(looked: Looked) -> None:
    looked.log.end = 10
    looked.backlogs.of(TOPIC, Q).at(4, looked.now)
    await looked.backlogs.look()
    looked.log.down = True
    looked.now += 30_000
    with pytest.raises(LogUnavailable):
        await looked.backlogs.look()
    assert looked.shown() == (6, 30)


async def test_what_is_anothers_is_not_looked_at(looked: Looked) -> None:
    looked.log.end = 10
    looked.backlogs.of(TOPIC, Q).at(4)
    await looked.backlogs.look()
    looked.backlogs.forget(Q)
    looked.metrics.forget_partition(Q)
    await looked.backlogs.look()
    assert looked.shown() == (None, None)
