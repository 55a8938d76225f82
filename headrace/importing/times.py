"""Reading when something happened, as tills and registers write it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from headrace.contracts.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, format_instant
from headrace.importing.cells import shown

_MILLISECOND = timedelta(milliseconds=1)
_EPOCHS = {"epoch_s": 1000, "epoch_ms": 1}
_EPOCH = re.compile(r"(-?[0-9]{1,15})(?:\.([0-9]{1,9}))?")
_DIRECTIVE = re.compile(r"%(.)|(\s+)|(.)", re.DOTALL)
_FIELDS = {
    "Y": ("year", "[0-9]{4}"),
    "m": ("month", "[0-9]{1,2}"),
    "d": ("day", "[0-9]{1,2}"),
    "H": ("hour", "[0-9]{1,2}"),
    "M": ("minute", "[0-9]{1,2}"),
    "S": ("second", "[0-9]{1,2}"),
}
_ORDER = ("year", "month", "day", "hour", "minute", "second")

Clock = Callable[[str], datetime]


def instant_reader(format: str, zone: str) -> Callable[[str], str]:
    """A function from a cell to `2011-12-09T12:50:00.000Z`. An ambiguous wall clock time is the first one."""
    place = ZoneInfo(zone)
    clock = _clock(format, place)

    @lru_cache(maxsize=4096)
    def read(text: str) -> str:
        try:
            millis = _epoch(text, _EPOCHS[format]) if format in _EPOCHS else _millis(clock(text), place)
        except ValueError:
            raise ValueError(f"{shown(text)} is no time of the format {format}") from None
        except OverflowError:
            millis = MAX_INSTANT + 1
        if not MIN_INSTANT <= millis <= MAX_INSTANT:
            raise ValueError(f"{shown(text)} is outside the years 1 to 9999")
        return format_instant(millis)

    return read


def date_reader(format: str) -> Callable[[str], str]:
    """A function from a cell to `1990-05-31`."""
    clock = _clock(format, None)

    @lru_cache(maxsize=4096)
    def read(text: str) -> str:
        try:
            return clock(text).date().isoformat()
        except ValueError:
            raise ValueError(f"{shown(text)} is no date of the format {format}") from None

    return read


def _epoch(text: str, millis: int) -> int:
    found = _EPOCH.fullmatch(text)
    if found is None:
        raise ValueError
    whole, fraction = int(found[1]) * millis, int((found[2] or "").ljust(9, "0")) * millis // 10**9
    return whole - fraction if text.startswith("-") else whole + fraction


def _millis(moment: datetime, zone: ZoneInfo) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - EPOCH) // _MILLISECOND


def _clock(format: str, zone: ZoneInfo | None) -> Clock:
    if format == "iso":
        return datetime.fromisoformat
    return _plain(format, zone) or (lambda text: datetime.strptime(text, format))


def _plain(format: str, zone: ZoneInfo | None) -> Clock | None:
    """Formats of numbers only, read at a tenth of what strptime takes; None for others."""
    pattern, names = "", []
    for directive, blank, literal in _DIRECTIVE.findall(format):
        if directive:
            name, digits = _FIELDS.get(directive, ("", ""))
            if not name or name in names:
                return None
            names.append(name)
            pattern += f"({digits})"
        else:
            pattern += r"\s+" if blank else re.escape(literal)
    if not {"year", "month", "day"} <= set(names):
        return None
    match = re.compile(pattern).fullmatch
    places = [names.index(name) + 1 for name in _ORDER if name in names]
    if [name for name in _ORDER if name in names] != list(_ORDER[: len(names)]):
        return None

    def read(text: str) -> datetime:
        found = match(text)
        if found is None:
            raise ValueError
        return datetime(*map(int, found.group(*places)), tzinfo=zone)  # type: ignore[misc,arg-type]

    return read
