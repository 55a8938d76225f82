"""Why: the tree of a condition with what was found and which events decided."""

from typing import Any

import pytest

from services.segmenter.batch.explanation import readable
from tests.unit.segmenter.batch.person import HOUR, Person, evaluator, segment

T = 10_000_000_000


def explained(when: Any, person: Person, t: int = T) -> dict[str, Any]:
    return evaluator({"buyers": {"event": {"name": "A"}}}).explain(segment(when).when, person.subject, t)


def test_groups_have_the_shape_of_the_condition() -> None:
    count = {"event": {"name": "A", "count": {"gte": 2}}}
    tree = explained({"all": [count, {"not": {"any": [{"tag": {"name": "vip"}}]}}]}, Person().did("A", 1))
    assert tree["result"] is False
    first, second = tree["all"]
    assert first["condition"] == {"event": {"name": ["A"], "count": {"gte": 2}}}
    assert (first["result"], first["value"], first["events"]) == (False, 1, ["m1"])
    assert second["result"] is True
    assert second["not"]["any"][0]["value"] is False


@pytest.mark.parametrize(
    ("when", "value", "events"),
    [
        ({"event": {"name": "A", "sum": {"of": "properties.total", "gte": 1}}}, 3.75, ["m1", "m2"]),
        ({"event": {"name": "A", "avg": {"of": "properties.total", "gte": 1}}}, 1.875, ["m1", "m2"]),
        ({"event": {"name": "A", "distinct": {"of": "properties.total", "gte": 1}}}, 2, ["m1", "m2"]),
        ({"event": {"name": "A", "last": {"of": "properties.total", "gte": 1}}}, [2.5], ["m2"]),
        ({"event": {"name": "B"}}, 0, []),
        ({"trait": {"name": "city", "eq": "Brno"}}, "Brno", ["m3"]),
        ({"trait": {"name": "pets[]", "eq": "cat"}}, ["cat", 1.5], ["m3"]),
        ({"trait": {"name": "age", "eq": 1}}, None, []),
        ({"consent": {"channel": "sms"}}, "granted", ["m3"]),
        ({"tag": {"name": "vip"}}, True, ["m3"]),
        ({"geo": {"within_km": 1, "of": [0, 0]}}, 0, ["m3"]),
        ({"segment": {"id": "buyers"}}, None, []),
        (
            {"sequence": {"steps": [{"event": "A"}], "then_not": {"event": "C", "within": "1h"}}},
            {"completed": "1970-01-01T00:00:00.002Z"},
            ["m2", "m3"],
        ),
    ],
)
def test_a_leaf_tells_its_value_and_the_events_that_decided(when: Any, value: Any, events: list[str]) -> None:
    person = Person().did("A", 1, properties={"total": 1.25}).did("A", 2, properties={"total": 2.5})
    person.did(
        "C",
        3,
        traits={"city": "Brno", "pets": ["cat", 1.5]},
        consents={"sms": "granted"},
        tags={"vip": True},
        context={"location": {"latitude": 0, "longitude": 0}},
    )
    tree = explained(when, person)
    assert (tree["value"], tree["events"]) == (value, events)


def test_held_tells_when_it_was_false_last_and_why() -> None:
    condition = {"held": {"for": "1h", "condition": {"event": {"name": "A"}}}}
    tree = explained(condition, Person().did("A", T - 1_000))
    assert tree["value"] == {"false_at": "1970-04-26T16:46:40.000Z"}
    assert tree["inside"]["result"] is False
    assert tree["inside"]["value"] == 0
    assert explained(condition, Person().did("A", T - HOUR))["inside"]["events"] == ["m1"]


def test_a_segment_is_explained_by_its_condition() -> None:
    judge = evaluator({"buyers": {"event": {"name": "A"}}})
    assert judge.explain("buyers", Person().did("A", 1).subject, T)["events"] == ["m1"]
    assert judge.explain("unknown", Person().subject, T)["result"] is False


def test_only_the_latest_events_are_told() -> None:
    person = Person()
    for at in range(1, 31):
        person.did("A", at)
    assert explained({"event": {"name": "A"}}, person)["events"] == [f"m{at}" for at in range(21, 31)]


def test_numbers_that_no_float_takes_are_text() -> None:
    person = Person().did("A", 1, properties=b'{"n": %s.5}' % (b"9" * 390))
    value = explained({"event": {"name": "A", "sum": {"of": "properties.n", "gt": 1}}}, person)["value"]
    assert isinstance(value, str)
    assert readable({"a": [1, True, None, "x"]}) == {"a": [1, True, None, "x"]}
