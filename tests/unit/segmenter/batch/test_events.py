"""Aggregates over events, their windows and filters."""

from typing import Any

import pytest

from tests.unit.segmenter.batch.person import HOUR, Person, holds, instant

T = 10_000_000


def event(name: Any = "A", **test: Any) -> dict[str, Any]:
    return {"event": {"name": name, **test}}


def bought(*totals: Any, **fields: Any) -> Person:
    person = Person()
    for at, total in enumerate(totals, start=1):
        person.did("A", at, properties={"total": total}, **fields)
    return person


def test_a_sliding_window_loses_an_event_exactly_when_it_is_over() -> None:
    person = Person().did("A", T)
    assert holds(event(within="1h"), person, T + HOUR - 1)
    assert not holds(event(within="1h"), person, T + HOUR)
    assert holds(event(), person, T + 999 * HOUR)


def test_an_event_that_is_known_counts_before_its_instant() -> None:
    person = Person().did("A", T + 5)
    assert holds(event(within="1h"), person, T)
    assert holds(event(count={"eq": 1}), person, T)


def test_a_late_event_counts_in_the_window_in_which_it_happened() -> None:
    person = Person().did("A", T).did("A", T - 100, time=T + HOUR - 50)
    assert holds(event(count={"gte": 2}, within="1h"), person, T + HOUR - 101)
    assert not holds(event(count={"gte": 2}, within="1h"), person, T + HOUR - 100)


def test_an_absolute_window_has_its_beginning_and_not_its_end() -> None:
    window = {"from": "2026-05-01", "to": "2026-05-01T12:00:00+02:00"}
    begin, end = instant("2026-05-01"), instant("2026-05-01T10:00")
    for at, expected in ((begin - 1, False), (begin, True), (end - 1, True), (end, False)):
        assert holds(event(between=window), Person().did("A", at), T) is expected


def test_names_are_those_of_tracks_pages_and_screens() -> None:
    person = Person().did("A", 1).did("B", 2).did("B", 3, type="identify")
    person.did(None, 4, type="page", name="Home").did("A", 5, type="screen").did(None, 6, type="group")
    for name, count in (("A", 1), ("B", 1), (["A", "B", "A"], 2), ("Page Viewed", 1), ("Screen Viewed", 1)):
        assert holds(event(name, count={"eq": count}), person, T)
    assert not holds(event("Home"), person, T)
    assert holds(event("Page Viewed", count={"eq": 2}), person.did("Page Viewed", 7), T)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ({"eq": 2}, True),
        ({"gt": 2}, False),
        ({"gte": 2}, True),
        ({"lt": 2}, False),
        ({"lte": 2}, True),
        ({"between": [2, 3]}, True),
        ({"between": [0, 1]}, False),
    ],
)
def test_count(count: dict[str, Any], expected: bool) -> None:
    assert holds(event(count=count), bought(1, 2), T) is expected


def test_no_event_is_counted_as_none() -> None:
    assert holds(event(count={"eq": 0}), Person(), T)
    assert not holds(event(), Person(), T)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ({"sum": {"eq": 0.3}}, True),
        ({"avg": {"eq": 0.15}}, True),
        ({"min": {"eq": 0.1}}, True),
        ({"max": {"eq": 0.2}}, True),
        ({"max": {"between": [0.2, 1]}}, True),
        ({"max": {"gt": 0.2}}, False),
        ({"min": {"lte": 0.1}}, True),
        ({"min": {"lt": 0.1}}, False),
    ],
)
def test_numbers_are_exact(aggregate: dict[str, dict[str, Any]], expected: bool) -> None:
    ((name, test),) = aggregate.items()
    person = bought(0.1, 0.2, "9", True, None, [7])
    assert holds(event(**{name: {"of": "properties.total", **test}}), person, T) is expected


def test_a_third_is_no_decimal() -> None:
    person = bought(1, 0, 0)
    assert not holds(event(avg={"of": "properties.total", "gte": 0.333333333333334}), person, T)
    assert holds(event(avg={"of": "properties.total", "gt": 0.333333333333333}), person, T)


def test_the_sum_of_none_is_0_and_the_others_of_none_are_false() -> None:
    person = bought("x", None)
    assert holds(event(sum={"of": "properties.total", "eq": 0}), person, T)
    assert holds(event(sum={"of": "properties.total", "lt": 1}), Person(), T)
    for name in ("avg", "min", "max"):
        assert not holds(event(**{name: {"of": "properties.total", "lte": 1_000}}), person, T)


def test_a_sum_may_be_longer_than_any_number_in_json() -> None:
    person = Person()
    for at in range(1, 3):
        person.did("A", at, properties=b'{"total": %s}' % (b"9" * 400))
    assert holds(event(sum={"of": "properties.total", "gt": 1}), person, T)
    assert not holds(event(sum={"of": "properties.total", "lt": 1}), person, T)


def test_other_currencies_are_left_out() -> None:
    person = Person().did("A", 1, properties={"total": 100, "currency": "czk"})
    person.did("A", 2, properties={"total": 7, "currency": "EUR"}).did("A", 3, properties={"total": 5})
    person.did("A", 4, properties={"total": 3, "currency": ["CZK"]})
    for name, value in (("sum", 100), ("avg", 100), ("max", 100), ("min", 100)):
        assert holds(event(**{name: {"of": "properties.total", "currency": "CZK", "eq": value}}), person, T)
    assert holds(event(sum={"of": "properties.total", "currency": "Eur", "eq": 7}), person, T)
    assert holds(event(sum={"of": "properties.total", "eq": 115}), person, T)


def test_line_items_are_added_one_by_one() -> None:
    person = Person().did("A", 1, properties={"products": [{"price": 10}, {"price": 2.5}, {"sku": "x"}, 4]})
    person.did("A", 2, properties={"products": {"price": 1_000}})
    assert holds(event(sum={"of": "properties.products[].price", "eq": 12.5}), person, T)
    assert holds(event(min={"of": "properties.products[].price", "eq": 2.5}), person, T)
    assert holds(event(count={"eq": 1}, where=[{"path": "properties.products[].sku", "eq": "x"}]), person, T)
    assert holds(event(count={"eq": 1}, where=[{"path": "properties.products.price", "gt": 1}]), person, T)


def test_distinct_values_are_booleans_numbers_and_texts() -> None:
    person = bought(1, 1.0, "1", True, True, None, {"a": 1}, "x")
    assert holds(event(distinct={"of": "properties.total", "eq": 4}), person, T)
    assert holds(event(distinct={"of": "properties.other", "eq": 0}), person, T)


def test_first_and_last_are_of_the_events_that_have_a_value() -> None:
    person = bought(None, "a", "b", None)
    for name, value in (("first", "a"), ("last", "b")):
        assert holds(event(**{name: {"of": "properties.total", "eq": value}}), person, T)
    assert not holds(event(first={"of": "properties.total", "ne": "a"}), person, T)
    assert not holds(event(first={"of": "properties.other", "ne": "a"}), person, T)


def test_first_and_last_are_by_instant_then_source_then_message_id() -> None:
    person = Person().did("A", 5, properties={"v": "late"}).did("A", 1, properties={"v": "b"}, message_id="2")
    person.did("A", 1, properties={"v": "c"}, source="app", message_id="9")
    person.did("A", 1, properties={"v": "a"}, message_id="1")
    assert holds(event(first={"of": "properties.v", "eq": "c"}), person, T)
    assert holds(event(last={"of": "properties.v", "eq": "late"}), person, T)
    assert holds(
        event(last={"of": "properties.v", "eq": "b"}, where=[{"path": "properties.v", "ne": "late"}]),
        person,
        T,
    )


def test_of_several_values_of_the_first_event_one_that_satisfies_is_enough() -> None:
    person = (
        Person()
        .did("A", 1, properties={"p": [{"s": "x"}, {"s": "y"}]})
        .did("A", 2, properties={"p": [{"s": "z"}]})
    )
    for value, expected in (("x", True), ("y", True), ("z", False)):
        assert holds(event(first={"of": "properties.p[].s", "eq": value}), person, T) is expected


def test_all_of_where_must_hold_on_one_event() -> None:
    where = [{"path": "properties.a", "eq": 1}, {"path": "context.b", "exists": False}]
    assert holds(event(where=where), Person().did("A", 1, properties={"a": 1.0}), T)
    one_each = Person().did("A", 1, properties={"a": 1}, context={"b": 0}).did("A", 2, properties={"a": 2})
    assert not holds(event(where=where), one_each, T)


def test_json_that_cannot_be_read_holds_no_value() -> None:
    person = Person().did("A", 1)
    row = person.own[0]
    broken = type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | {"properties": b'{"a": 1'})
    person.own[0] = broken
    assert holds(event(), person, T)
    assert holds(event(where=[{"path": "properties.a", "exists": False}]), person, T)


def test_only_properties_and_context_are_reached() -> None:
    person = Person().did("A", 1, properties={"event": "A"}, user_id="u")
    for path in ("event", "user_id", "traits.a"):
        assert not holds(event(where=[{"path": path, "exists": True}]), person, T)


@pytest.mark.parametrize(
    ("at", "zone", "test", "expected"),
    [
        ("2026-05-09T18:00", None, {"weekday": ["sat", "sun"]}, True),
        ("2026-05-11T00:00", None, {"weekday": ["sat", "sun"]}, False),
        ("2026-05-09T18:00", None, {"hours": [18, 24]}, True),
        ("2026-05-09T17:59:59.999", None, {"hours": [18, 24]}, False),
        ("2026-05-09T23:59:59.999", None, {"hours": [18, 24]}, True),
        ("2026-05-09T20:00", None, {"hours": [18, 20]}, False),
        ("2026-05-09T22:30", "Europe/Prague", {"hours": [0, 1], "weekday": ["sun"]}, True),
        ("2026-05-09T22:30", "Mars/Base", {"hours": [22, 23], "weekday": ["sat"]}, True),
        ("2026-05-09T22:30", None, {"hours": [0, 1], "timezone": "Europe/Prague"}, True),
        ("2026-05-09T22:30", "America/New_York", {"hours": [18, 19], "timezone": "Europe/Prague"}, True),
        ("2026-03-29T00:59:59.999", "Europe/Prague", {"hours": [1, 2]}, True),  # summer time begins
        ("2026-03-29T01:00", "Europe/Prague", {"hours": [2, 3]}, False),
        ("2026-03-29T01:00", "Europe/Prague", {"hours": [3, 4]}, True),
        ("2026-10-25T00:30", "Europe/Prague", {"hours": [2, 3]}, True),  # and ends: this hour comes twice
        ("2026-10-25T01:30", "Europe/Prague", {"hours": [2, 3]}, True),
        ("2026-10-25T02:00", "Europe/Prague", {"hours": [2, 3]}, False),
    ],
)
def test_the_local_weekday_and_hour_of_an_event(
    at: str, zone: str | None, test: dict[str, Any], expected: bool
) -> None:
    context = {} if zone is None else {"timezone": zone}
    person = Person().did("A", instant(at), context=context).became(1, timezone="Asia/Tokyo")
    assert holds(event(where=[{"local": test}]), person, T) is expected
