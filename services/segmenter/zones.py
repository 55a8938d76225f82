"""Time zones by their IANA names, from the package tzdata alone: every machine knows the same ones."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

_NAMES = frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = 2, 9_998  # years; further, the offset of some zone leads out of the calendar


@lru_cache(maxsize=1_024)
def zone_named(name: object) -> tzinfo | None:
    """The zone; None for what names none."""
    if not isinstance(name, str) or name not in _NAMES:
        return None
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=65_536)
def date_ms(text: str, zone: tzinfo) -> int | None:
    """An ISO 8601 date (its midnight) or date and time, in `zone` if it has no offset, in milliseconds. None for
    what is neither."""
    parsed = _parsed(text)
    return None if parsed is None else _millis(parsed if parsed.tzinfo else parsed.replace(tzinfo=zone))


@lru_cache(maxsize=65_536)
def date_in(text: str, zone: tzinfo) -> date | None:
    """The day of the same in `zone`."""
    parsed = _parsed(text)
    if parsed is None:
        return None
    return parsed.astimezone(zone).date() if parsed.tzinfo else parsed.date()


@lru_cache(maxsize=16_384)
def anniversary(day: date, year: int, zone: tzinfo) -> tuple[int, int] | None:
    """Beginning and end of this day's anniversary in `year`, in milliseconds; 29 February is the 28th in other
    years. None beyond the calendar."""
    try:
        on = day.replace(year=year)
    except ValueError:
        if not _FIRST <= year <= _LAST:
            return None
        on = day.replace(year=year, day=28)
    return (midnight(on, zone), midnight(on + _DAY, zone)) if _FIRST <= year <= _LAST else None


def midnight(day: date, zone: tzinfo) -> int:
    return _millis(datetime(day.year, day.month, day.day, tzinfo=zone))


def local_time(ts: int, zone: tzinfo) -> datetime | None:
    """The wall clock at an instant; None beyond the calendar."""
    try:
        return (_EPOCH + timedelta(milliseconds=ts)).astimezone(zone)
    except OverflowError:
        return None


def _parsed(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if _FIRST <= parsed.year <= _LAST else None


def _millis(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
