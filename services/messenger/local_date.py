"""Instants as a customer reads them: in their time zone and language. Pure."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headrace.contracts.instant import EPOCH
from services.messenger.locales import language_of

_MONTHS = {
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
    "sk": "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "hu": "január február március április május június július augusztus szeptember október november december",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "en": "January February March April May June July August September October November December",
}
_DAYS = {
    "cs": "pondělí úterý středa čtvrtek pátek sobota neděle",
    "sk": "pondelok utorok streda štvrtok piatok sobota nedeľa",
    "pl": "poniedziałek wtorek środa czwartek piątek sobota niedziela",
    "hu": "hétfő kedd szerda csütörtök péntek szombat vasárnap",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
}
_DIRECTIVE = re.compile(r"%(-?)([dmYyHMSIpABj%])")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MILLIS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds since the epoch; smaller ones seconds."""


def local_date(value: object, pattern: str, *, zone: str | None, locale: str | None) -> str:
    """`pattern` as of strftime: %d %m %Y %y %H %M %S %I %p %j, %A and %B by name (cs, sk, pl, hu, de, else en);
    %-d without the zero. A day without a time stays that day everywhere. Empty for what is no date."""
    when = _read(value, _zone(zone))
    if when is None:
        return ""
    language = language_of(locale or "en")
    return _DIRECTIVE.sub(lambda match: _part(when, match[2], bool(match[1]), language), pattern)


def _part(when: datetime, directive: str, bare: bool, language: str) -> str:
    if directive == "%":
        return "%"
    if directive == "A":
        return _DAYS.get(language, _DAYS["en"]).split()[when.weekday()]
    if directive == "B":
        return _MONTHS.get(language, _MONTHS["en"]).split()[when.month - 1]
    text = f"{when.year:04}" if directive == "Y" else when.strftime(f"%{directive}")
    return (text.lstrip("0") or "0") if bare and directive != "p" else text


def _read(value: object, zone: tzinfo) -> datetime | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return (EPOCH + _since(value)).astimezone(zone)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=zone)
        return _text(value.strip(), zone) if isinstance(value, str) and len(value) < 50 else None
    except (ValueError, OverflowError):
        return None


def _text(text: str, zone: tzinfo) -> datetime | None:
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(text)
    if text.lstrip("-").isdecimal() and text.isascii():
        return (EPOCH + _since(int(text))).astimezone(zone)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(zone)


def _since(number: float) -> timedelta:
    return timedelta(milliseconds=number if abs(number) >= _MILLIS_FROM else number * 1000)


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
