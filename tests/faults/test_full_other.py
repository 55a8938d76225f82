"""The other half of the whole fault suite, on a platform of its own."""

import pytest

from tests.faults.platform import Platform
from tests.faults.suite import Row
from tests.faults.whole import MARKS, half, in_time_as_a_rule, proven
from tests.faults.whole import platform as platform
from tests.faults.whole import recoveries as recoveries

pytestmark = MARKS


@pytest.mark.parametrize("row", half(1), ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(platform: Platform, recoveries: list[float], row: Row) -> None:
    proven(platform, recoveries, row)


def test_killed_processes_are_back_in_time_as_a_rule(recoveries: list[float]) -> None:
    in_time_as_a_rule(recoveries)
