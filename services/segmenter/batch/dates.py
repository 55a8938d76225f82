"""Dates of the calendar and instants on the clock, in the zones of the IANA database that Headrace ships."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from headrace.contracts.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, Millis

_ZONES = resources.files("tzdata")
_ZONE_NAMES = frozenset(_ZONES.joinpath("zones").read_text("utf-8").splitlines())


def zone(name: Any) -> tzinfo | None:
    """None for what is not the name of a zone."""
    return _zone(name) if isinstance(name, str) and name in _ZONE_NAMES else None


@lru_cache(maxsize=1_024)
def _zone(name: str) -> tzinfo:
    with _ZONES.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def instant(text: Any, home: tzinfo) -> Millis | None:
    """An ISO 8601 date (its midnight) or date and time; without an offset it is in the zone `home`. None for
    everything else."""
    moment = _read(text)
    return None if moment is None else _millis(moment if moment.tzinfo else moment.replace(tzinfo=home))


def anniversaries(text: Any, home: tzinfo, begin: Millis, end: Millis) -> Iterator[tuple[Millis, Millis]]:
    """Beginning and end of the days in `home`, in years after the date's own, that return to its month and day; at
    least those that touch [begin, end]."""
    moment = _read(text)
    if moment is None:
        return
    try:
        own = (moment.astimezone(home) if moment.tzinfo else moment).date()
    except OverflowError:  # the first or last hours of the calendar, in a zone where they are outside of it
        return
    for year in range(_year(begin) - 1, _year(end) + 2):
        if own.year < year < date.max.year:
            day = _in_year(own, year)
            yield _midnight(day, home), _midnight(day + timedelta(days=1), home)


def clock(at: Millis, home: tzinfo) -> datetime | None:
    """What calendar and clock on the wall show; None outside of the calendar."""
    try:
        return (EPOCH + timedelta(milliseconds=at)).astimezone(home)
    except OverflowError:
        return None


def _read(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment if moment is not None and 1 < moment.year < date.max.year else None
    except ValueError:
        return None


def _millis(moment: datetime) -> Millis:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _year(at: Millis) -> int:
    return (EPOCH + timedelta(milliseconds=min(max(at, MIN_INSTANT), MAX_INSTANT))).year


def _in_year(day: date, year: int) -> date:
    leap_day = (day.month, day.day) == (2, 29)
    leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, 2, 28) if leap_day and not leap_year else day.replace(year=year)


def _midnight(day: date, home: tzinfo) -> Millis:
    return _millis(datetime(day.year, day.month, day.day, tzinfo=home))
