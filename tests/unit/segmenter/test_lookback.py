"""Which definitions read into events that are too old to be kept."""

from typing import Any

import pytest

from services.segmenter.lookback import reads_back

DAY = 86_400_000
WHERE = [{"path": "properties.shop", "eq": "a"}]


@pytest.mark.parametrize(
    ("when", "back"),
    [
        ({"event": {"name": "A", "count": {"gte": 1}}}, False),
        ({"event": {"name": "A", "where": WHERE}}, True),
        ({"event": {"name": "A", "where": WHERE, "within": "30d"}}, False),
        ({"event": {"name": "A", "where": WHERE, "within": "31d"}}, True),
        ({"event": {"name": "A", "sum": {"of": "properties.total", "gte": 1}}}, True),
        ({"not": {"any": [{"event": {"name": "A", "where": WHERE}}]}}, True),
        ({"held": {"for": "3d", "condition": {"event": {"name": "A", "distinct": {"of": "x", "gte": 2}}}}}, True),
        ({"sequence": {"steps": [{"event": "A"}], "by": "properties.cart"}}, True),
        ({"sequence": {"steps": [{"event": "A"}], "by": "properties.cart", "expires": "7d"}}, False),
        ({"geo": {"within_km": 25, "of": [49, 16]}}, True),
        ({"trait": {"name": "plan", "eq": "gold"}}, False),
    ],
)
def test_only_what_reads_into_older_events_looks_back(when: Any, back: bool) -> None:
    assert reads_back({"kind": "segment", "when": when}, 30 * DAY) is back
