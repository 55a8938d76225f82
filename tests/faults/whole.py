"""The whole fault suite as two test modules share it: every second fault in turn on one platform, so that the two
run beside each other."""

import statistics
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import pytest

from tests.faults.platform import Platform
from tests.faults.rows import ALL_AT_ONCE, OTHERS
from tests.faults.suite import KILLED_SECONDS, Row, run

# in turns: a service that has run for a while is started again at once when it dies
ROWS = [row for pair in zip_longest(ALL_AT_ONCE, OTHERS) for row in pair if row is not None]
EVENTS = 20_000 // len(ROWS) + 1
_SAID = 20_000
MARKS = [pytest.mark.full, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture(scope="module")
def recoveries() -> list[float]:
    """Seconds after which killed processes had recovered, row by row."""
    return []


def half(number: int) -> Sequence[Row]:
    """Pairs of rows stay together: one that kills everything, and another."""
    return [row for place, row in enumerate(ROWS) if place // 2 % 2 == number]


def proven(platform: Platform, recoveries: list[float], row: Row) -> None:
    result = run(platform, row, EVENTS)

    print(result)
    if row.limit == KILLED_SECONDS:
        recoveries.append(result.recovery)
    if not result.fine:
        print(platform.stack.said()[-_SAID:])  # what stands still says why
    assert result.fine, str(result)


def in_time_as_a_rule(recoveries: list[float]) -> None:
    """The median, for one row may meet a machine that is busy elsewhere."""
    if not recoveries:
        pytest.skip("no row of this run killed a process")
    assert statistics.median(recoveries) <= KILLED_SECONDS, recoveries
