"""A definition parses to one meaning, or is refused with where, why and what to write instead."""

from typing import Any

import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.segment import parse_segment
from headrace.contracts.segment_conditions import EventCondition
from headrace.contracts.segment_values import duration_ms


def definition(when: Any) -> dict[str, Any]:
    return {"kind": "segment", "id": "s", "name": "S", "when": when}


def problems(document: object) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_segment(document)
    return [(p.path, p.reason, p.suggestion) for p in caught.value.problems]


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"event": {"name": "A"}}
    for _ in range(depth):
        node = {"not": node}
    return node


EVERYTHING = {
    "all": [
        {"event": {"name": "Order Completed", "count": {"gte": 2}, "within": "30d"}},
        {"event": {"name": ["A", "B"], "sum": {"of": "properties.products[].price", "between": [1, 10.25]}}},
        {"event": {"name": "C", "where": [{"path": "context.locale", "in": ["cs", "sk"]}]}},
        {
            "any": [
                {"trait": {"name": "address.city", "starts_with": "Br"}},
                {"not": {"trait": {"name": "x", "exists": True}}},
            ]
        },
    ]
}


def test_canonical_form_parses_to_the_same_definition() -> None:
    parsed = parse_segment(definition(EVERYTHING))
    assert parse_segment(parsed.canonical()) == parsed
    assert parsed.canonical() == parse_segment(parsed.canonical()).canonical()


def test_one_name_and_a_list_of_one_are_the_same_definition() -> None:
    assert parse_segment(definition({"event": {"name": "A"}})) == parse_segment(
        definition({"event": {"name": ["A"]}})
    )


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


@pytest.mark.parametrize(
    ("when", "path", "reason", "suggestion"),
    [
        (
            {"event": {"name": "A", "count": {"gtee": 2}}},
            "when.event.count.gtee",
            "not known",
            "did you mean gte?",
        ),
        ({"event": {"name": "A", "count": {">": 2}}}, "when.event.count.>", "not known", "did you mean gt?"),
        ({"evnt": {"name": "A"}}, "when.evnt", "not a condition", "did you mean event?"),
        ({"event": {"nam": "A"}}, "when.event.nam", "not known", "did you mean name?"),
        ({"sequence": {}}, "when.sequence", "not supported yet", ""),
        (
            {"all": [{"trait": {"name": "a", "matches": "^x"}}]},
            "when.all.0.trait.matches",
            "not supported yet",
            "",
        ),
        ({"event": {"name": "A", "avg": {"of": "x", "gte": 1}}}, "when.event.avg", "not supported yet", ""),
        ({"event": {"name": "A", "within": "7 days"}}, "when.event.within", "must be a duration", ""),
        ({"event": {"name": "A", "count": {"gte": 1.5}}}, "when.event.count.gte", "whole number", ""),
        ({"event": {"name": "A", "count": {"gte": True}}}, "when.event.count.gte", "whole number", ""),
        ({"event": {"name": "A", "count": {"gte": 1, "lte": 2}}}, "when.event.count", "exactly one operator", ""),
        ({"event": {"name": "A", "count": {"gte": 10_001}, "within": "1d"}}, "when.event", "at most 10000", ""),
        (
            {"event": {"name": "A", "count": {"gte": 1}, "sum": {"of": "x", "gte": 1}}},
            "when.event",
            "aggregate",
            "",
        ),
        ({"trait": {"name": "a", "gt": True}}, "when.trait.gt", "number or text", ""),
        ({"trait": {"name": "a", "eq": float("inf")}}, "when.trait.eq", "finite", ""),
        ({"trait": {"name": "a", "eq": 10**15}}, "when.trait.eq", "15 digits", ""),
        ({"trait": {"name": "a..b", "eq": 1}}, "when.trait.name", "written", ""),
        ({"trait": {"name": "computed.x", "gt": 1}}, "when.trait.name", "not supported yet", ""),
        ({"trait": {"name": "a"}}, "when.trait", "exactly one operator", ""),
        ({"all": []}, "when.all", "at least one", ""),
        ({"trait": {"name": "a", "eq": 1}, "event": {"name": "A"}}, "when", "exactly one condition", ""),
        ([], "when", "exactly one condition", ""),
        (nested(30), "when" + ".not" * 16, "deeper than 16", ""),
        ({"any": [{"event": {"name": "A"}}] * 1_000}, "when.any.199", "more than 200", ""),
    ],
)
def test_a_bad_definition_is_answered_with_path_reason_and_suggestion(
    when: object, path: str, reason: str, suggestion: str
) -> None:
    found = problems(definition(when))
    assert len(found) == 1
    assert found[0][0] == path
    assert reason in found[0][1]
    assert suggestion in found[0][2]


def test_every_problem_is_reported_at_once() -> None:
    bad = {"all": [{"event": {"name": "A", "within": "x"}}, {"trait": {"name": "a", "lt": False}}]}
    assert [path for path, _, _ in problems({**definition(bad), "id": "Bad Id"})] == [
        "id",
        "when.all.0.event.within",
        "when.all.1.trait.lt",
    ]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"kind": "list", "id": "x"}])
def test_what_is_no_definition_at_all_is_refused(document: object) -> None:
    assert problems(document)


def test_numbers_are_exact() -> None:
    parsed = parse_segment(definition({"event": {"name": "A", "sum": {"of": "properties.total", "gte": 0.1}}}))
    assert isinstance(parsed.when, EventCondition)
    assert parsed.when.event.sum is not None
    assert str(parsed.when.event.sum.operator[1]) == "0.1"
