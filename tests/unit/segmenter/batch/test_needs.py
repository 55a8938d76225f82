"""Which rows a condition needs."""

from typing import Any

import pytest

from tests.unit.segmenter.batch.person import evaluator, segment

OTHERS = {
    "vip": {"all": [{"tag": {"name": "vip"}}, {"segment": {"id": "buyers"}}]},
    "buyers": {"event": {"name": ["Bought", "Paid"]}},
    "paused": {"event": {"name": "Slept"}},
}


@pytest.mark.parametrize(
    ("when", "names", "what"),
    [
        ({"event": {"name": ["A", "B"]}}, {"A", "B"}, set()),
        (
            {"sequence": {"steps": [{"event": "A"}, {"event": "B"}], "then_not": {"event": "C", "within": "1h"}}},
            {"A", "B", "C"},
            set(),
        ),
        ({"sequence": {"steps": [{"event": "A"}], "then": {"event": "C", "within": "1h"}}}, {"A", "C"}, set()),
        ({"rfm": {"event": "A", "recency": [5]}}, {"A"}, set()),
        ({"message": {"campaign": "c", "did": "unsubscribed"}}, {"Unsubscribed"}, set()),
        ({"trait": {"name": "city", "eq": "Brno"}}, set(), {"traits"}),
        ({"trait": {"name": "born", "anniversary": {"within": "1d"}}}, set(), {"traits", "timezone"}),
        ({"trait": {"name": "born", "older_than": "1d"}}, set(), {"traits", "timezone"}),
        ({"consent": {"channel": "sms"}}, set(), {"consents"}),
        ({"tag": {"name": "vip"}}, set(), {"tags"}),
        ({"geo": {"within_km": 1, "of": [1, 1]}}, set(), {"location"}),
        ({"percent": {"from": 0, "to": 1}}, set(), set()),
        ({"held": {"for": "1d", "condition": {"not": {"event": {"name": "A"}}}}}, {"A"}, set()),
        ({"segment": {"id": "vip", "for": "1d"}}, {"Bought", "Paid"}, {"tags"}),
        ({"any": [{"segment": {"id": "paused"}}, {"segment": {"id": "unknown"}}]}, set(), set()),
    ],
)
def test_the_names_of_events_and_what_else_rows_say(when: Any, names: set[str], what: set[str]) -> None:
    needed = evaluator(OTHERS, frozen={"paused": lambda profile_id: True}).needs(segment(when).when)
    assert (set(needed.names), set(needed.what)) == (names, what)


def test_a_segment_needs_what_its_condition_needs() -> None:
    assert set(evaluator(OTHERS).needs("vip").names) == {"Bought", "Paid"}
