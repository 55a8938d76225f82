"""An event costs what it touches: definitions beyond its reach add no work. Counted in calls, not in seconds."""

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from services.segmenter.fold import Fold
from tests.unit.segmenter.rows import apply, event, fold, plan

EVENTS = 200
MINE: Mapping[str, Any] = {
    "twice": {"event": {"name": "A", "count": {"gte": 2}, "within": "60s"}},
    "spent": {"event": {"name": "A", "sum": {"of": "properties.total", "gte": 30}}},
    "shoes": {"event": {"name": "A", "where": [{"path": "properties.category", "eq": "shoes"}]}},
    "brno": {"all": [{"trait": {"name": "city", "eq": "Brno"}}, {"event": {"name": "A"}}]},
}


def others(number: int) -> dict[str, Any]:
    """Other names, other values of the same fields, thresholds out of reach, other traits."""
    found: dict[str, Any] = {}
    for n in range(number // 5):
        where = [{"path": "properties.category", "eq": f"other-{n}"}]
        found[f"name{n}"] = {"event": {"name": f"Other {n}", "within": "5s"}}
        found[f"value{n}"] = {"event": {"name": "A", "where": where, "within": "5s"}}
        found[f"count{n}"] = {"event": {"name": "A", "count": {"gte": 1_000 + n}}}
        found[f"sum{n}"] = {"event": {"name": "A", "sum": {"of": "properties.total", "gte": 100_000 + n}}}
        found[f"trait{n}"] = {"all": [{"trait": {"name": "plan", "eq": f"{n}"}}, {"event": {"name": "A"}}]}
    return found


def calls(conditions: Mapping[str, Any]) -> tuple[int, Fold]:
    """How many calls folding the same events takes, beyond those of each customer's first."""
    target = fold(plan(**conditions))
    customers = [f"p{n}" for n in range(10)]
    apply(target, *(visit(n, profile) for n, profile in enumerate(customers)))
    rows = [visit(len(customers) + n, customers[n % len(customers)]) for n in range(EVENTS)]
    count = 0

    def counted(frame: FrameType, kind: str, argument: object) -> None:
        nonlocal count
        count += kind in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        apply(target, *rows)
    finally:
        sys.setprofile(None)
    return count, target


def visit(number: int, profile: str) -> Any:
    properties = {"category": "shoes" if number % 3 else "hats", "total": number % 7}
    traits = {"city": "Brno" if number % 2 else "Praha"}
    return event(number + 1, profile, at=1_000 * (number + 1), properties=properties, traits=traits)


def test_definitions_that_an_event_cannot_touch_cost_nothing() -> None:
    alone, _ = calls(MINE)
    among, target = calls({**MINE, **others(1_000)})
    assert target.transitions  # there was something to do
    assert among <= 1.05 * alone
