"""When an event happened, corrected for the client's clock (Segment's rule).

timestamp = receivedAt - (sentAt - originalTimestamp): a client whose clock is ten minutes slow is ten minutes
slow in both of its instants, so that their difference is right.
"""

from headrace.contracts.instant import MAX_INSTANT, MIN_INSTANT, Millis, parse_instant

# Powers of ten between the ranges that dates of the years 1973 to 5138 take in each unit.
_SECONDS_BELOW = 10**11
_MILLIS_BELOW = 10**14
_MICROS_BELOW = 10**17
_DATE_DIGITS = 8  # 20260131 is a date, anything longer of digits only is an epoch number


def parse_time(value: object) -> Millis | None:
    """An instant as SDKs write it: ISO-8601 text (no zone means UTC), or a number of seconds, milliseconds or
    microseconds since 1970, told apart by size. None for what is absent or blank.

    Raises ValueError for everything else.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if len(text) > _DATE_DIGITS and text.isascii() and text.isdigit():
            return _from_epoch(int(text[:20]))
        return _parse_text(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not an instant")
    return _from_epoch(value)


def _parse_text(text: str) -> Millis:
    try:
        return parse_instant(text)
    except OverflowError as error:
        raise ValueError("instant outside the years 1 to 9999") from error


def _from_epoch(number: int | float) -> Millis:
    size = abs(number)
    if size < _SECONDS_BELOW:
        millis = int(number * 1000)
    elif size < _MILLIS_BELOW:
        millis = int(number)
    elif size < _MICROS_BELOW:
        millis = int(number // 1000)
    else:
        raise ValueError("not an instant")
    if not MIN_INSTANT <= millis <= MAX_INSTANT:
        raise ValueError("instant outside the years 1 to 9999")
    return millis


def parse_sent_at(value: object) -> Millis | None:
    """`sentAt` only serves the correction: one that is no instant counts as absent."""
    try:
        return parse_time(value)
    except ValueError:
        return None


def correct(original: Millis | None, sent_at: Millis | None, received_at: Millis) -> Millis:
    """The instant of an event on our clock; never later than `received_at`."""
    if original is None:
        return received_at
    corrected = original if sent_at is None else received_at - (sent_at - original)
    if corrected < MIN_INSTANT:
        corrected = original
    return min(corrected, received_at)
