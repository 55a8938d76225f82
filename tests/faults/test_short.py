"""The short set of the fault suite, in `make test`: what breaks most, on one platform."""

from collections.abc import Iterator

import pytest

from tests.faults import rows
from tests.faults.platform import Platform
from tests.faults.suite import Row, run

pytestmark = pytest.mark.embedded

EVENTS = 250
ROWS = [
    rows.killed(
        ("ingest", "after_append"),
        ("profiles", "after_commit"),
        ("segmenter", "after_commit"),
        ("messenger", "after_send"),
    ),
    rows.killed(("profiles", "after_publish"), ("segmenter", "after_publish")),
    rows.cut_in_commit("log", "state", "postgres"),
    rows.EMPTIED,
    rows.waiting_carts(4),
    rows.POISONED,
]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(platform: Platform, row: Row) -> None:
    result = run(platform, row, EVENTS)

    print(result)
    assert result.fine, str(result)
