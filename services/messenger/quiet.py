"""Quiet hours: when a customer may be written to, by the clocks where the customer is. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from phonenumbers import timezone as phone_zones

from headrace.contracts.campaign import QuietHours
from headrace.contracts.instant import Millis

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS
_DAYS = 2
_UNKNOWN_ZONE = "Etc/Unknown"
_ZONES = frozenset(available_timezones())


def zones_of(time_zone: str | None, phones: Iterable[str], default: str) -> tuple[str, ...]:
    """Where the customer may be: the time zone that is known, else those of the phone number (E.164), of which a
    country may have several, else the default one."""
    if time_zone in _ZONES:
        return (str(time_zone),)
    for phone in phones:
        found = _zones_of_number(phone)
        if found:
            return found
    return (default,)


def _zones_of_number(phone: str) -> tuple[str, ...]:
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return ()
    for look_up in (phone_zones.time_zones_for_number, phone_zones.time_zones_for_geographical_number):
        # the second goes by the digits alone: of a number that was never given out the country still tells
        zones: Sequence[str] = look_up(number)
        known = tuple(sorted(zone for zone in zones if zone != _UNKNOWN_ZONE and zone in _ZONES))
        if known:
            return known
    return ()


def next_allowed(at: Millis, hours: QuietHours, zones: Sequence[str]) -> Millis:
    """The first instant, `at` or later, that is quiet in none of the zones (to the minute). Where the zones never
    allow at the same time (a number of all of North America, Guam included): the first that is quiet in the
    fewest."""
    wanted = (hours.timezone,) if hours.timezone != "profile" else zones
    clocks = [ZoneInfo(zone) for zone in wanted]
    found = _next(at, hours, clocks)
    return found if found is not None else _least_quiet(at, hours, clocks)


def _next(at: Millis, hours: QuietHours, clocks: Sequence[ZoneInfo]) -> Millis | None:
    until = at + _DAYS * _DAY_MS
    while at < until:
        later = max((_end(at, hours, clock) for clock in clocks), default=at)
        if later == at:
            return at
        at = later
    return None


def _least_quiet(at: Millis, hours: QuietHours, clocks: Sequence[ZoneInfo]) -> Millis:
    """Within a day. It becomes quiet in fewer of them only where a night ends."""
    by_offset = {datetime.fromtimestamp(at / 1000, clock).utcoffset(): clock for clock in clocks}
    ends = {_clock_shows(hours.to_minute, at, days, clock) for clock in by_offset.values() for days in (0, 1)}
    instants = sorted({at} | {end for end in ends if at < end <= at + _DAY_MS})
    return min(instants, key=lambda instant: sum(is_quiet(instant, hours, clock) for clock in clocks))


def _clock_shows(minute: int, at: Millis, days: int, clock: ZoneInfo) -> Millis:
    """When the clock shows this minute of the day, so many days after `at`."""
    day = datetime.fromtimestamp(at / 1000, clock).date() + timedelta(days=days)
    naive = datetime(day.year, day.month, day.day, minute // 60, minute % 60)
    return int(naive.replace(tzinfo=clock).astimezone(UTC).timestamp() * 1000)


def is_quiet(at: Millis, hours: QuietHours, clock: ZoneInfo) -> bool:
    local = datetime.fromtimestamp(at / 1000, clock)
    minute = local.hour * 60 + local.minute
    if hours.from_minute < hours.to_minute:
        return hours.from_minute <= minute < hours.to_minute
    return minute >= hours.from_minute or minute < hours.to_minute


def _end(at: Millis, hours: QuietHours, clock: ZoneInfo) -> Millis:
    """When the quiet time at this instant is over; the instant itself when there is none."""
    if not is_quiet(at, hours, clock):
        return at
    local = datetime.fromtimestamp(at / 1000, clock)
    tomorrow = local.hour * 60 + local.minute >= hours.to_minute
    end = _clock_shows(hours.to_minute, at, int(tomorrow), clock)
    first = at - at % _MINUTE_MS + _MINUTE_MS
    if end <= at:  # the clocks were put back, and show the quiet time again
        return first
    if datetime.fromtimestamp(end / 1000, clock).utcoffset() != local.utcoffset():
        # the clocks change on the way: the end may be skipped, or come twice
        return next((t for t in range(first, end, _MINUTE_MS) if not is_quiet(t, hours, clock)), end)
    return end
