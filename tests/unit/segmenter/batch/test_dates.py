"""Traits that are dates: compared with now, in the zone of the customer."""

from typing import Any

import pytest

from tests.unit.segmenter.batch.person import DAY, HOUR, SECOND, Person, holds, instant

WEEK = 7 * DAY
NOON = instant("2026-05-10T12:00")


def on(test: dict[str, Any], value: Any, t: int, zone: str | None = None) -> bool:
    person = Person().became(1, date=value)
    if zone is not None:
        person.became(2, timezone=zone)
    return holds({"trait": {"name": "date", **test}}, person, t)


def test_within_last_from_the_instant_until_the_window_is_over() -> None:
    for t, expected in ((NOON - 1, False), (NOON, True), (NOON + WEEK - 1, True), (NOON + WEEK, False)):
        assert on({"within_last": "7d"}, "2026-05-10T12:00:00Z", t) is expected


def test_older_than_from_the_end_of_the_window_on() -> None:
    for t, expected in ((NOON, False), (NOON + WEEK - 1, False), (NOON + WEEK, True), (NOON + 999 * WEEK, True)):
        assert on({"older_than": "7d"}, "2026-05-10T12:00:00Z", t) is expected


def test_within_next_from_the_window_before_until_the_instant() -> None:
    for t, expected in ((NOON - WEEK - 1, False), (NOON - WEEK, True), (NOON - 1, True), (NOON, False)):
        assert on({"within_next": "7d"}, "2026-05-10T12:00:00Z", t) is expected


@pytest.mark.parametrize(
    ("value", "zone", "begins"),
    [
        ("2026-05-10", None, "2026-05-10T00:00Z"),
        ("2026-05-10", "Europe/Prague", "2026-05-09T22:00Z"),
        ("2026-05-10", "America/New_York", "2026-05-10T04:00Z"),
        ("2026-05-10T08:30:00", "Europe/Prague", "2026-05-10T06:30Z"),
        ("2026-05-10T08:30:00+05:00", "Europe/Prague", "2026-05-10T03:30Z"),
        ("2026-05-10T08:30:00.250Z", "Europe/Prague", "2026-05-10T08:30:00.250Z"),
        ("2026-03-29", "Europe/Prague", "2026-03-28T23:00Z"),  # summer time begins at 2 o'clock
        ("2026-03-30", "Europe/Prague", "2026-03-29T22:00Z"),
        ("2026-03-29T02:30:00", "Europe/Prague", "2026-03-29T01:30Z"),  # an hour that is left out
        ("2026-10-25T02:30:00", "Europe/Prague", "2026-10-25T00:30Z"),  # an hour that comes twice: the first
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00Z"),  # midnight is left out: the day begins at one
        ("2026-05-10", "Nowhere/City", "2026-05-10T00:00Z"),
    ],
)
def test_a_date_without_an_offset_is_where_the_customer_lives(value: str, zone: str | None, begins: str) -> None:
    at = instant(begins)
    assert not on({"within_last": "1s"}, value, at - 1, zone)
    assert on({"within_last": "1s"}, value, at, zone)
    assert not on({"within_last": "1s"}, value, at + SECOND, zone)


@pytest.mark.parametrize(
    "value", ["soon", "2026-13-01", "", 20260510, 1_778_414_400_000, True, ["2026-05-10"], None]
)
def test_what_is_no_date_satisfies_nothing(value: Any) -> None:
    for operator in ("within_last", "older_than", "within_next"):
        assert not on({operator: "100d"}, value, NOON)
    assert not on({"anniversary": {"within": "366d"}}, value, NOON)


def test_dates_of_the_years_2_to_9998_count() -> None:
    for day, is_date in (("0001-12-31", False), ("0002-01-01", True)):
        assert on({"older_than": "90d"}, day, NOON) is is_date
    for day, is_date in (("9999-01-01", False), ("9998-12-31", True)):
        assert on({"within_next": "36500d"}, day, NOON + 250_000_000_000_000) is is_date


def test_an_anniversary_is_true_from_its_window_until_the_day_is_over() -> None:
    begin, end = instant("2026-05-10"), instant("2026-05-11")
    test = {"anniversary": {"within": "7d"}}
    for t, expected in ((begin - WEEK - 1, False), (begin - WEEK, True), (end - 1, True), (end, False)):
        assert on(test, "1990-05-10", t) is expected


def test_the_days_own_year_has_no_anniversary() -> None:
    test = {"anniversary": {"within": "1s"}}
    assert not on(test, "2026-05-10", NOON)
    assert on(test, "2025-05-10", NOON)
    assert not on(test, "2027-05-10", NOON)


def test_an_anniversary_at_new_year_is_near_in_the_old_one() -> None:
    test = {"anniversary": {"within": "3d"}}
    assert on(test, "1990-01-01", instant("2026-12-29T00:00"))
    assert not on(test, "1990-01-01", instant("2026-12-29T00:00") - 1)
    assert not on(test, "1990-01-01", instant("2027-01-02T00:00"))


def test_the_29th_of_february_is_the_28th_in_other_years() -> None:
    test = {"anniversary": {"within": "1s"}}
    for day, expected in (
        ("2027-02-28", True),
        ("2027-03-01", False),
        ("2028-02-28", False),
        ("2028-02-29", True),
    ):
        assert on(test, "2004-02-29", instant(f"{day}T12:00")) is expected
    assert on(test, "2004-02-29", instant("2027-03-01") - 1)
    assert not on(test, "2004-02-29", instant("2027-03-01"))
    assert on(test, "2004-02-28", instant("2028-02-28T12:00"))
    assert not on(test, "2004-02-28", instant("2028-02-29T12:00"))


def test_a_day_on_which_the_clock_changes_has_23_or_25_hours() -> None:
    test = {"anniversary": {"within": "1s"}}
    for born, begins, hours in (("1990-03-29", "2026-03-28T23:00", 23), ("1990-10-25", "2026-10-24T22:00", 25)):
        begin = instant(begins)
        assert not on(test, born, begin - SECOND - 1, "Europe/Prague")
        assert on(test, born, begin - SECOND, "Europe/Prague")
        assert on(test, born, begin + hours * HOUR - 1, "Europe/Prague")
        assert not on(test, born, begin + hours * HOUR, "Europe/Prague")


def test_an_instant_of_birth_is_a_day_where_the_customer_lives() -> None:
    test = {"anniversary": {"within": "1s"}}
    born = "1990-05-10T23:30:00Z"  # already the 11th in Prague
    assert on(test, born, instant("2026-05-10T12:00"))
    assert on(test, born, instant("2026-05-11T12:00"), "Europe/Prague")
    assert not on(test, born, instant("2026-05-10T12:00"), "Europe/Prague")


def test_the_zone_is_the_trait_else_of_the_latest_event_that_names_one_else_utc() -> None:
    day = {"trait": {"name": "date", "within_last": "1s"}}
    utc, prague, tokyo = instant("2026-05-10"), instant("2026-05-09T22:00"), instant("2026-05-09T15:00")
    person = Person().became(1, date="2026-05-10")
    assert holds(day, person, utc)
    person.did(None, 30, type="page", context={"timezone": "Asia/Tokyo"})
    assert holds(day, person, tokyo)
    person.did("A", 20, context={"timezone": "Europe/Prague"})  # arrived later, happened before
    assert holds(day, person, tokyo)
    person.did("A", 40, context={"timezone": "Mars/Base"})
    person.did("A", 41, context={"timezone": 2})
    assert holds(day, person, tokyo)
    person.became(2, timezone="Europe/Prague")
    assert holds(day, person, prague)
    assert not holds(day, person, tokyo)
    person.became(3, timezone="Mars/Base")
    assert holds(day, person, tokyo)
