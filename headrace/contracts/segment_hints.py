"""Why a value of a segment definition is refused, and what to write instead."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources

from headrace.contracts.segment_words import MAX_WORD, shown


class Refused(ValueError):
    """A value is refused. The message is the reason, `suggestion` what to write instead."""

    def __init__(self, reason: str, suggestion: str) -> None:
        super().__init__(reason)
        self.suggestion = suggestion


_DURATION = re.compile(r"\s*([0-9]{1,9})(?:[.,]([0-9]))?\s*([a-zA-Z]*)\s*", re.ASCII)
_UNITS: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("s", 1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), ("m", 1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("h", 1)),
    **dict.fromkeys(("", "d", "day", "days"), ("d", 1)),
    **dict.fromkeys(("w", "wk", "week", "weeks"), ("w", 1)),
    **dict.fromkeys(("mo", "mon", "month", "months"), ("d", 30)),
    **dict.fromkeys(("y", "yr", "year", "years"), ("d", 365)),
}
_FINER = {"m": ("s", 60), "h": ("m", 60), "d": ("h", 24), "w": ("d", 7)}
_ISO_CALENDAR = re.compile(r"P(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?", re.ASCII)
_A_DURATION = "write for instance 90s, 15m, 1h, 7d or 12w"


def duration_hint(value: object) -> str:
    """For what is no duration: 30, `7 days`, `1month`, `1.5h`, `P1M`."""
    text = shown(value) if not isinstance(value, bool) else ""
    if (calendar := _ISO_CALENDAR.fullmatch(text)) and any(calendar.groups()):
        days = 365 * int(calendar[1] or 0) + 30 * int(calendar[2] or 0)
        return f"months and years have no fixed length: write {days}d" if days else _A_DURATION
    match = _DURATION.fullmatch(text)
    if match is None or match[3].lower() not in _UNITS:
        return _A_DURATION
    unit, times = _UNITS[match[3].lower()]
    tenths = (10 * int(match[1]) + int(match[2] or 0)) * times
    while tenths % 10 and unit in _FINER:
        unit, more = _FINER[unit]
        tenths *= more
    if not tenths or tenths % 10:
        return _A_DURATION
    why = "months and years have no fixed length: " if times > 1 else ""
    return f"{why}write {tenths // 10}{unit}"


_DAY_FIRST = re.compile(r"([0-9]{1,2})\. ?([0-9]{1,2})\. ?([0-9]{4})", re.ASCII)
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})", re.ASCII)
_NO_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)


def instant_hint(value: object) -> str:
    """For what is no bound of a window: `27.11.2026`, `2026-11-27T10:00` without an offset."""
    text = shown(value)
    if _NO_OFFSET.fullmatch(text):
        return f"add the offset from UTC: {text}Z, or {text}+01:00"
    if match := _DAY_FIRST.fullmatch(text):
        year, month, day = int(match[3]), int(match[2]), int(match[1])
    elif match := _YEAR_FIRST.fullmatch(text):
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    else:
        year, month, day = 2026, 11, 27
    if not (1 <= month <= 12 and 1 <= day <= 31) or f"{year:04}-{month:02}-{day:02}" == text:
        year, month, day = 2026, 11, 27
    return f"write year, month and day, as in {year:04}-{month:02}-{day:02}, or an instant: 2026-11-27T10:00:00Z"


_PLAIN_NUMBER = re.compile(r"\s*(-?[0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:%|km|[A-Z]{3}|Kč|[€$£])?\s*", re.ASCII)


def number_hint(value: object, otherwise: str = "write a number, such as 1000") -> str:
    """For what is no number: `"1000"`, `10%`, `1000 CZK`."""
    match = _PLAIN_NUMBER.fullmatch(value[:MAX_WORD]) if isinstance(value, str) else None
    return f"write {match[1]}, without quotes, signs or units" if match else otherwise


def pattern_hint(pattern: str) -> str:
    """For a regular expression that is refused."""
    if re.search(r"[+*}]\)*\)[+*{]|\|[^()]*\)[+*{]", pattern) and not re.search(r"\(\?<?[=!]", pattern):
        return "repeat once: a+ finds all that (a+)+ finds"
    if re.search(r"\(\?<?[=!]", pattern):
        return "looking ahead or behind is not available: write two tests, one of them under not: if need be"
    if re.search(r"\\[1-9]|\(\?P=", pattern):
        return "referring back to a group is not available: write the text out, or use eq or in"
    return "check brackets, and put a backslash before . ( ) [ ] + * ? that stand for themselves"


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every time zone there is, as the package tzdata has them."""
    return frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())


def zone_hint(value: object) -> str:
    """For what names no time zone: `europe/prague`, `Prague`, `UTC+2`."""
    text = shown(value).strip().replace(" ", "_").lower()
    by_name = {name.lower(): name for name in sorted(zone_names())}
    by_city = {name.rsplit("/", 1)[-1]: zone for name, zone in by_name.items()}
    for names in (by_name, by_city):
        near = get_close_matches(text, names, 1, 0.8)
        if near:
            return f"did you mean {names[near[0]]}?"
    return "write a zone of the IANA list: Europe/Prague, America/New_York, UTC"


def id_hint(value: object) -> str:
    """For what is no id: its letters and digits, joined by dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", shown(value).lower()).strip("-")[:64]
    rule = "an id has 1 to 64 of a-z, 0-9 and -"
    return f"{rule}: write {plain}" if isinstance(value, str) and plain else f"{rule}: cart-abandoners"
