"""Instants are integers: milliseconds since 1970-01-01T00:00:00Z, the precision of Kafka's log time."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

Millis = int

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
MIN_INSTANT: Millis = -62135596800000  # 0001-01-01T00:00:00Z
MAX_INSTANT: Millis = 253402300799999  # 9999-12-31T23:59:59.999Z


def parse_instant(text: str) -> Millis:
    """ISO-8601 text to milliseconds; a text without a zone is UTC, digits past milliseconds are cut.

    A leap second becomes .999 of the second before and 24:00 the next day's midnight. Raises ValueError
    for what is no instant between the years 1 and 9999 (UTC).
    """
    if not text.isascii():
        raise ValueError("not an ISO-8601 instant")
    try:
        if _is_usual(text):
            return _parse_second(text[:19]) + int(text[20:23])
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _parse_unusual(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    millis = (moment - EPOCH) // _MILLISECOND
    if not MIN_INSTANT <= millis <= MAX_INSTANT:
        raise ValueError("instant outside the years 1 to 9999")
    return millis


@lru_cache(maxsize=4096)
def _parse_second(text: str) -> Millis:
    # cached: see `_format_second`
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // _MILLISECOND


def _is_usual(text: str) -> bool:
    """As `format_instant` writes it, `2026-01-31T12:00:00.000Z`: a second without a zone, then milliseconds."""
    return (
        len(text) == 24
        and text[13] == ":"
        and text[16] == ":"
        and text[19] == "."
        and text[23] == "Z"
        and text[20:23].isdigit()
    )


def _parse_unusual(text: str) -> datetime:
    """`:60` seconds and `24:00`, which datetime refuses."""
    if len(text) >= 19 and text[17:19] == "60":
        zone = text[19:].lstrip(".0123456789")
        return datetime.fromisoformat(f"{text[:17]}59.999{zone}")
    if len(text) >= 16 and text[11:16] == "24:00":
        try:
            return datetime.fromisoformat(f"{text[:11]}00:00{text[16:]}") + timedelta(days=1)
        except OverflowError as error:
            raise ValueError("instant outside the years 1 to 9999") from error
    raise ValueError("not an ISO-8601 instant")


def format_instant(millis: Millis) -> str:
    """Milliseconds to `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(millis, 1000)
    return f"{_format_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=4096)
def _format_second(seconds: int) -> str:
    # cached: the instants of a stream lie close together, and this is most of their cost
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
