"""Traits, consents and tags: what the customer's own rows set last, and how a test compares it."""

from typing import Any

import pytest

from headrace.contracts.segment import parse_segment
from services.segmenter.batch.customer import Subject
from tests.unit.segmenter.batch.person import Person, evaluator, holds, segment

NOW = 1_000_000


def has(test: dict[str, Any], **traits: Any) -> bool:
    return holds({"trait": {"name": next(iter(traits)), **test}}, Person().became(1, **traits), NOW)


@pytest.mark.parametrize(
    ("test", "value", "expected"),
    [
        ({"eq": 1}, 1.0, True),
        ({"eq": 1}, True, False),
        ({"eq": True}, 1, False),
        ({"eq": "1"}, 1, False),
        ({"eq": "Brno"}, "brno", False),
        ({"eq": 0.1}, 0.1, True),
        ({"ne": 1}, 2, True),
        ({"ne": 1}, 1.0, False),
        ({"ne": 1}, "2", False),
        ({"ne": 1}, True, False),
        ({"in": ["a", 1]}, 1.0, True),
        ({"in": ["a", 1]}, "b", False),
        ({"not_in": ["a", 1]}, "b", True),
        ({"not_in": ["a", 1]}, 1.0, False),
        ({"not_in": ["a", 1]}, True, False),
        ({"not_in": ["a"]}, 7, False),
        ({"gt": 5}, 5, False),
        ({"gte": 5}, 5.0, True),
        ({"lt": 5}, 4.999, True),
        ({"lte": 5}, 5, True),
        ({"gt": "a"}, "b", True),
        ({"gt": "a"}, 1, False),
        ({"gt": 0}, True, False),
        ({"between": [1, 2]}, 2, True),
        ({"between": [1, 2]}, 1, True),
        ({"between": [1, 2]}, 2.01, False),
        ({"between": ["a", "c"]}, "b", True),
        ({"contains": "rn"}, "Brno", True),
        ({"contains": "b"}, ["a", "b"], True),
        ({"contains": 1}, ["a", 1.0], True),
        ({"contains": 1}, [True], False),
        ({"contains": 1}, "1", False),
        ({"contains": "rn"}, ["Brno"], False),
        ({"starts_with": "Br"}, "Brno", True),
        ({"ends_with": "no"}, "Brno", True),
        ({"starts_with": "1"}, 12, False),
        ({"matches": "r.o"}, "Brno", True),
        ({"matches": "^r"}, "Brno", False),
        ({"matches": "1"}, 1, False),
        ({"exists": True}, False, True),
        ({"exists": False}, 0, False),
        ({"eq": "x"}, {"a": "x"}, False),
        ({"eq": "x"}, ["x"], False),
    ],
)
def test_a_trait_is_compared_by_type(test: dict[str, Any], value: Any, expected: bool) -> None:
    assert has(test, city=value) is expected


@pytest.mark.parametrize("operator", [{"eq": 1}, {"ne": 1}, {"not_in": [1]}, {"exists": True}])
def test_without_a_value_every_comparison_is_false(operator: dict[str, Any]) -> None:
    assert not holds({"trait": {"name": "age", **operator}}, Person(), NOW)
    assert not holds({"trait": {"name": "age", **operator}}, Person().became(1, age=None), NOW)


def test_exists_false_is_true_without_a_value() -> None:
    absent = {"trait": {"name": "address.city", "exists": False}}
    assert holds(absent, Person(), NOW)
    assert holds(absent, Person().became(1, address="Brno"), NOW)
    assert holds(absent, Person().became(1, address={"city": None}), NOW)
    assert not holds(absent, Person().became(1, address={"city": ""}), NOW)


def test_a_path_goes_into_objects_and_into_each_item_of_a_list() -> None:
    person = Person().became(1, pets=[{"kind": "cat"}, {"kind": None}, "dog", {"kind": "fish"}])
    for kind, expected in (("cat", True), ("fish", True), ("dog", False)):
        assert holds({"trait": {"name": "pets[].kind", "eq": kind}}, person, NOW) is expected
    assert holds({"trait": {"name": "pets[].kind", "ne": "cat"}}, person, NOW)  # one that satisfies is enough
    assert not holds({"trait": {"name": "pets.kind", "exists": True}}, person, NOW)
    assert holds({"trait": {"name": "pets[]", "eq": "dog"}}, person, NOW)


def test_numbers_of_more_than_400_digits_are_no_value() -> None:
    for number, expected in ((10**400 - 1, True), (10**400, False)):
        person = Person().did("A", 1, properties=b'{"n": %d, "m": 1}' % number)
        there = {"event": {"name": "A", "where": [{"path": "properties.n", "exists": True}]}}
        assert holds(there, person, NOW) is expected
        assert holds({"event": {"name": "A", "sum": {"of": "properties.m", "eq": 1}}}, person, NOW)


def test_the_last_row_decides_not_the_latest_event() -> None:
    person = Person().became(500, city="Brno").became(100, city="Praha")
    assert holds({"trait": {"name": "city", "eq": "Praha"}}, person, NOW)


def test_a_merge_changes_traits_consents_and_tags_and_null_removes() -> None:
    person = Person().did(
        "A", 1, traits={"city": "Brno", "vip": True}, consents={"sms": "granted"}, tags={"a": True}
    )
    person.absorbed(2, traits={"city": "Plzen", "vip": None}, consents={"sms": "withdrawn"}, tags={"a": False})
    assert holds({"trait": {"name": "city", "eq": "Plzen"}}, person, NOW)
    assert holds({"trait": {"name": "vip", "exists": False}}, person, NOW)
    assert holds({"consent": {"channel": "sms", "is": "withdrawn"}}, person, NOW)
    assert not holds({"tag": {"name": "a"}}, person, NOW)


def test_traits_of_those_merged_into_the_customer_are_not_the_customers() -> None:
    loser = Person("p2").became(1, city="Brno").did("A", 2, tags={"a": True})
    merged = Subject("p1", loser.subject.events, [])
    for when in ({"trait": {"name": "city", "eq": "Brno"}}, {"tag": {"name": "a"}}):
        assert not evaluator().member(segment(when).when, merged, NOW)
    assert evaluator().member(segment({"event": {"name": "A"}}).when, merged, NOW)


def test_consents_and_tags_are_as_they_are_now() -> None:
    person = Person().did("A", 1, consents={"sms": "granted"}, tags={"vip": True, "list:friends": True})
    assert holds({"consent": {"channel": "sms"}}, person, NOW)
    assert not holds({"consent": {"channel": "sms", "is": "withdrawn"}}, person, NOW)
    assert not holds({"consent": {"channel": "email", "is": "withdrawn"}}, person, NOW)
    assert holds({"tag": {"name": "vip"}}, person, NOW)
    assert not holds({"tag": {"name": "other"}}, person, NOW)
    person.did("A", 2, tags={"vip": False})
    assert not holds({"tag": {"name": "vip"}}, person, NOW)
    (friends,) = parse_segment({"kind": "list", "id": "friends", "name": "Friends"}).segments()
    assert evaluator().member(friends.when, person.subject, NOW)
