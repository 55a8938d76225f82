"""Dates and time zone of a customer, from the events that are its own."""

from services.profiles.past_event import PastEvent
from services.profiles.profile import Profile
from services.profiles.recomputed import date

CARD = (("card", "1"),)


def looked(ts: int, zone: str | None = None, identifiers: tuple[tuple[str, str], ...] = CARD) -> PastEvent:
    return PastEvent(0, ts, ts, "p", "p", ts, ("shop", f"m{ts}"), identifiers, None, zone)


def mixed_up() -> Profile:
    """As it was with somebody else's events."""
    return Profile("p", 1, 99, time_zone="Asia/Tokyo", time_zone_at=99)


def test_what_others_did_says_nothing_about_the_customer() -> None:
    profile = mixed_up()
    date(profile, [looked(30), looked(10, "Europe/Prague"), looked(50, identifiers=())], [10])
    assert (profile.first_seen, profile.last_seen) == (10, 30)
    assert (profile.time_zone, profile.time_zone_at) == ("Europe/Prague", 10)


def test_without_an_event_the_identifiers_say_when_it_was_seen() -> None:
    profile = mixed_up()
    date(profile, [looked(50, identifiers=())], [20, 10])
    assert (profile.first_seen, profile.last_seen) == (10, 20)
    assert (profile.time_zone, profile.time_zone_at) == (None, 0)
