"""A definition parses to one meaning, and is stored as it parses."""

from typing import Any

import pytest

from headrace.contracts.segment import SegmentDefinition, parse_segment
from headrace.contracts.segment_conditions import EventCondition
from headrace.contracts.segment_values import duration_ms
from tests.unit.segmenter.definitions import definition, told

EVERYTHING = {
    "all": [
        {"event": {"name": "Order Completed", "count": {"gte": 2}, "within": "30d"}},
        {"event": {"name": ["A", "B"], "sum": {"of": "properties.products[].price", "between": [1, 10.25]}}},
        {"event": {"name": "C", "where": [{"path": "context.locale", "in": ["cs", 7, True]}]}},
        {"event": {"name": "D", "max": {"of": "properties.total", "gt": 5}, "currency": "CZK"}},
        {
            "any": [
                {"trait": {"name": "address.city", "starts_with": "Br"}},
                {"not": {"trait": {"name": "x", "exists": True}}},
                {"trait": {"name": "size", "between": ["L", 44]}},
            ]
        },
    ]
}


@pytest.mark.parametrize(
    "document",
    [
        definition(EVERYTHING),
        {"kind": "list", "id": "l", "name": "L"},
        {"kind": "stages", "id": "s", "name": "S", "stages": [{"id": "new", "when": EVERYTHING}]},
    ],
    ids=lambda document: str(document["kind"]),
)
def test_canonical_form_parses_to_the_same_definition(document: dict[str, Any]) -> None:
    parsed = parse_segment(document)
    assert parse_segment(parsed.canonical()) == parsed
    assert parsed.canonical() == parse_segment(parsed.canonical()).canonical()


def test_one_name_and_a_list_of_one_are_the_same_definition() -> None:
    assert parse_segment(definition({"event": {"name": "A"}})) == parse_segment(
        definition({"event": {"name": ["A"]}})
    )


def test_a_currency_beside_its_aggregate_is_the_aggregates() -> None:
    beside = {"event": {"name": "A", "sum": {"of": "x", "gte": 1}, "currency": "CZK"}}
    inside = {"event": {"name": "A", "sum": {"of": "x", "gte": 1, "currency": "CZK"}}}
    assert parse_segment(definition(beside)) == parse_segment(definition(inside))


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
        ("12w", 7_257_600_000),
        ("P7D", 604_800_000),
        ("PT1H30M", 5_400_000),
        ("P1W", 604_800_000),
        ("P1DT1S", 86_401_000),
    ],
)
def test_durations(text: str, millis: int) -> None:
    assert duration_ms(text) == millis


@pytest.mark.parametrize("text", ["", "7", "0s", "-1d", "7 d", "P1M", "P1Y", "P", "PT", "1.5h", "99999w", "٧d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        duration_ms(text)


def test_every_problem_is_reported_at_once_of_keys_and_of_values() -> None:
    bad = {"all": [{"event": {"name": "A", "within": "x"}}, {"trait": {"name": "a", "lt": False}}, {"evnt": {}}]}
    assert [path for path, _, _ in told({**definition(bad), "id": "Bad Id"})] == [
        "when.all.2.evnt",
        "id",
        "when.all.0.event.within",
        "when.all.1.trait.lt",
    ]


def test_one_mistake_is_one_problem() -> None:
    mistaken = {"event": {"name": "A", "count": {"gtee": "x"}, "where": [{"path": "a", "eq": None}]}}
    assert [path for path, _, _ in told(definition(mistaken))] == [
        "when.event.where.0.eq",
        "when.event.count.gtee",
    ] or [path for path, _, _ in told(definition(mistaken))] == [
        "when.event.count.gtee",
        "when.event.where.0.eq",
    ]


def test_numbers_are_exact() -> None:
    parsed = parse_segment(definition({"event": {"name": "A", "sum": {"of": "properties.total", "gte": 0.1}}}))
    assert isinstance(parsed, SegmentDefinition)
    assert isinstance(parsed.when, EventCondition)
    assert parsed.when.event.sum is not None
    assert str(parsed.when.event.sum.operator[1]) == "0.1"


def test_a_stage_is_its_condition_and_none_before() -> None:
    one, two = {"event": {"name": "A"}}, {"event": {"name": "B"}}
    document = {"kind": "stages", "id": "life", "name": "Life"}
    stages = [{"id": "new", "when": one}, {"id": "old", "name": "Old ones", "when": two}]
    first, second = parse_segment({**document, "stages": stages}).segments()
    assert first == parse_segment({**definition(one), "id": "life-new", "name": "Life: new"})
    expected = {**definition({"all": [{"not": one}, two]}), "id": "life-old", "name": "Life: Old ones"}
    assert second == parse_segment(expected)
