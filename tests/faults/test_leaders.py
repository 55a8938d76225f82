"""The fault suite on three brokers: whoever leads may go."""

from collections.abc import Iterator

import pytest

from tests.faults.platform import Platform
from tests.faults.replicated import ROWS, Replicated
from tests.faults.suite import Row, run

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

EVENTS = 600


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform(event_log=Replicated) as running:
        yield running


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(platform: Platform, row: Row) -> None:
    result = run(platform, row, EVENTS)

    print(result)
    assert result.fine, str(result)
