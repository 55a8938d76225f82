"""The whole fault suite, in `make test-kafka`: every fault in turn on one platform."""

from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.faults.platform import Platform
from tests.faults.rows import ALL_AT_ONCE, OTHERS
from tests.faults.suite import Row, run

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

# in turns: a service that has run for a while is started again at once when it dies
ROWS = [row for pair in zip_longest(ALL_AT_ONCE, OTHERS) for row in pair if row is not None]
EVENTS = 20_000 // len(ROWS) + 1


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(platform: Platform, row: Row) -> None:
    result = run(platform, row, EVENTS)

    print(result)
    assert result.fine, str(result)
