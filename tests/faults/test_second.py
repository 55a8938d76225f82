"""The second fault set on one platform, in `make test-kafka`; with many events by hand: `make faults`."""

from collections.abc import Iterator

import pytest

from tests.faults.full_disk import DISKS
from tests.faults.operated import CLOCKS_APART, OTHERS
from tests.faults.platform import Platform
from tests.faults.suite import LeftOut, Row, run
from tests.servers.packages import Missing

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

EVENTS = 200


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform(disks=DISKS) as running:
        yield running


@pytest.mark.parametrize("row", [*OTHERS, CLOCKS_APART], ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(platform: Platform, row: Row) -> None:
    try:
        result = run(platform, row, EVENTS)
    except (Missing, LeftOut) as reason:
        pytest.skip(str(reason))

    print(result)
    assert result.fine, str(result)
