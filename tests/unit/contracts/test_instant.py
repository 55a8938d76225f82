"""Instants: text of every shape to milliseconds and back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, format_instant, parse_instant

INSTANTS = st.integers(MIN_INSTANT, MAX_INSTANT)


@given(INSTANTS)
def test_what_is_formatted_parses_to_itself(millis: int) -> None:
    assert parse_instant(format_instant(millis)) == millis


@given(INSTANTS, INSTANTS)
def test_text_sorts_as_time_does(one: int, other: int) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


@given(st.datetimes(timezones=st.timezones()))
def test_any_zone_gives_the_same_instant(moment: datetime) -> None:
    expected = (moment - EPOCH).total_seconds() * 1000
    if MIN_INSTANT + 1 < expected < MAX_INSTANT - 1:
        assert abs(parse_instant(moment.isoformat()) - expected) <= 1


@given(st.text(max_size=30))
def test_any_text_parses_or_is_a_value_error(text: str) -> None:
    try:
        millis = parse_instant(text)
    except ValueError:
        return
    assert MIN_INSTANT <= millis <= MAX_INSTANT


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("20260131T120000Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.100Z"),
        ("2026-01-31T12:00:00.123999Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00:00.123999999Z", "2026-01-31T12:00:00.123Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60.5+00:00", "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60.500Z", "2016-12-31T23:59:59.999Z"),
        ("2026-01-31T24:00:00.000Z", "2026-02-01T00:00:00.000Z"),
        ("2026-01-31T24:00:00Z", "2026-02-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_shapes_that_senders_use(text: str, same_as: str) -> None:
    assert format_instant(parse_instant(text)) == same_as


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1738324800",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٦-01-31",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="instant"):
        parse_instant(text)


def test_milliseconds_count_from_the_epoch() -> None:
    assert parse_instant("1970-01-01T00:00:00.001Z") == 1
    assert format_instant(-1) == "1969-12-31T23:59:59.999Z"
    assert parse_instant("2026-01-31T12:00:00Z") == int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 1000
