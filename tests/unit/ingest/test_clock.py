"""Instants as SDKs write them, and the correction of the client's clock."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.instant import MAX_INSTANT, MIN_INSTANT
from services.ingest.clock import correct, parse_sent_at, parse_time

NOON = 1_769_860_800_000  # 2026-01-31T12:00:00Z
MINUTE = 60_000


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T12:00:00.000000+00:00",
        "2026-01-31T12:00:00.000000999Z",
        "2026-01-31 12:00:00",
        " 2026-01-31T12:00:00 ",
        NOON,
        NOON // 1000,
        NOON / 1000,
        NOON * 1000,
        str(NOON),
        str(NOON // 1000),
    ],
)
def test_forms_of_one_instant(value: object) -> None:
    assert parse_time(value) == NOON


@pytest.mark.parametrize("value", [None, "", "  "])
def test_absent(value: object) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value",
    [True, [], {}, "yesterday", "2026-13-01", "1.5", 10**17, -(10**30), float("inf"), float("nan"), "9" * 40],
)
def test_refused(value: object) -> None:
    with pytest.raises(ValueError, match="instant"):
        parse_time(value)
    assert parse_sent_at(value) is None


def test_days_of_digits_only_are_dates() -> None:
    assert parse_time("20260131") == NOON - 12 * 60 * MINUTE


def test_leap_second_and_midnight() -> None:
    assert parse_time("2016-12-31T23:59:60Z") == 1_483_228_799_999
    assert parse_time("2026-01-31T24:00:00Z") == NOON + 12 * 60 * MINUTE


def test_a_slow_client_is_corrected() -> None:
    happened, sent = NOON - 11 * MINUTE, NOON - 10 * MINUTE
    assert correct(happened, sent, NOON) == NOON - MINUTE


def test_without_sent_at_the_client_is_believed() -> None:
    assert correct(NOON - MINUTE, None, NOON) == NOON - MINUTE


def test_without_timestamp_it_happened_now() -> None:
    assert correct(None, NOON - MINUTE, NOON) == NOON


instants = st.integers(MIN_INSTANT, MAX_INSTANT)


@settings(deadline=None)
@given(original=st.none() | instants, sent=st.none() | instants, received=instants)
def test_never_later_than_received_and_always_an_instant(
    original: int | None, sent: int | None, received: int
) -> None:
    assert MIN_INSTANT <= correct(original, sent, received) <= received


@settings(deadline=None)
@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_parse_gives_an_instant_or_value_error(value: object) -> None:
    try:
        millis = parse_time(value)
    except ValueError:
        return
    assert millis is None or MIN_INSTANT <= millis <= MAX_INSTANT
