"""When a customer may be written to, by the clocks there."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.campaign import QuietHours
from services.messenger.quiet import is_quiet, next_allowed, zones_of

MINUTE = 60_000
ZONES = ["UTC", "Europe/Prague", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
clock = st.integers(0, 1439).map(lambda m: f"{m // 60:02d}:{m % 60:02d}")
hours = (
    st.tuples(clock, clock)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: QuietHours.model_validate({"from": pair[0], "to": pair[1]}))
)
instants = st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31)).map(
    lambda at: int(at.replace(tzinfo=UTC).timestamp() * 1000)
)


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@given(instants, hours, st.sampled_from(ZONES))
def test_it_is_the_first_minute_that_is_not_quiet(instant: int, quiet: QuietHours, zone: str) -> None:
    tz = ZoneInfo(zone)
    found = next_allowed(instant, quiet, (zone,))
    assert found >= instant
    assert not is_quiet(found, quiet, tz)
    minutes = range(instant - instant % MINUTE + MINUTE, found, MINUTE)
    assert found == instant or all(is_quiet(minute, quiet, tz) for minute in minutes)
    assert found == instant or is_quiet(instant, quiet, tz)


@given(instants, hours, st.lists(st.sampled_from(ZONES), min_size=1, max_size=4, unique=True))
def test_of_several_zones_it_is_the_first_minute_that_is_quiet_in_none_or_else_in_the_fewest(
    instant: int, quiet: QuietHours, zones: list[str]
) -> None:
    def asleep(at: int) -> int:
        return sum(is_quiet(at, quiet, ZoneInfo(zone)) for zone in zones)

    found = next_allowed(instant, quiet, zones)
    before = [instant, *range(instant - instant % MINUTE + MINUTE, found, MINUTE)] if found > instant else []
    assert found >= instant
    assert all(asleep(minute) > asleep(found) for minute in before)
    day = range(instant - instant % MINUTE + MINUTE, instant + 23 * 60 * MINUTE, 7 * MINUTE)
    assert asleep(found) == 0 or all(asleep(minute) >= asleep(found) for minute in day)
    assert next_allowed(found, quiet, zones) == found, "whoever waits for it may go"


def test_zones_that_never_allow_together_are_disturbed_as_little_as_can_be() -> None:
    quiet = QuietHours.model_validate({"from": "09:00", "to": "08:00"})
    found = next_allowed(at("2026-01-01T12:00:00"), quiet, ("UTC", "Asia/Tokyo"))
    assert found == at("2026-01-02T08:00:00", "Asia/Tokyo")


def test_a_number_of_all_of_north_america_is_called_in_the_middle_of_its_day() -> None:
    night = QuietHours.model_validate({"from": "20:00", "to": "08:00"})
    found = next_allowed(at("2026-01-01T06:00:00"), night, zones_of(None, ["+1 800 555 0100"], "UTC"))
    awake = ["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"]
    assert not any(is_quiet(found, night, ZoneInfo(zone)) for zone in awake)


@pytest.mark.parametrize(
    ("time_zone", "phone", "zones"),
    [
        ("Asia/Tokyo", "+420601000001", ("Asia/Tokyo",)),
        (None, "+420601000001", ("Europe/Prague",)),
        ("Nowhere/Land", "+420601000001", ("Europe/Prague",)),
        (None, "+1 212 555 0100", ("America/New_York",)),
        (None, "nonsense", ("Europe/Paris",)),
        (None, "", ("Europe/Paris",)),
    ],
)
def test_where_a_customer_is(time_zone: str | None, phone: str, zones: tuple[str, ...]) -> None:
    assert zones_of(time_zone, [phone], "Europe/Paris") == zones


def test_a_number_of_several_zones_counts_for_all_of_them() -> None:
    zones = zones_of(None, ["+1 800 555 0100"], "UTC")
    assert {"America/New_York", "America/Los_Angeles"} <= set(zones)


def test_the_clocks_that_go_forward_end_a_night_with_them() -> None:
    quiet = QuietHours.model_validate({"from": "21:00", "to": "02:30"})
    assert next_allowed(at("2026-03-29T00:30:00"), quiet, ("Europe/Prague",)) == at("2026-03-29T01:00:00")
    fixed = QuietHours.model_validate({"from": "21:00", "to": "02:30", "timezone": "UTC"})
    assert next_allowed(at("2026-03-29T00:30:00"), fixed, ("Europe/Prague",)) == at("2026-03-29T02:30:00")
