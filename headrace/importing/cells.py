"""Reading one cell: numbers, truth values, instants and templates. Nothing is guessed."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from headrace.contracts.instant import EPOCH, MAX_INSTANT, MIN_INSTANT, format_instant

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_FIELD = re.compile(r"\{([^{}]+)\}")


class BadCell(ValueError):
    """The cell is not what the mapping says. `column` is its name, the text says what was expected."""

    def __init__(self, column: str, reason: str) -> None:
        self.column = column
        super().__init__(reason)


@lru_cache(maxsize=65_536)
def number(text: str) -> Decimal:
    """A plain decimal number with a point. Raises ValueError for `12,5`, `1e9`, `NaN` and the like."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no number such as 12.50")
    return Decimal(text)


def integer(text: str) -> int:
    """A whole number of at most 15 digits (JSON readers keep 53 bits)."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no whole number such as 12")
    return int(text)


def boolean(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither true, yes, 1 nor false, no, 0") from None


def instant_reader(format: str, zone: str) -> Callable[[str], str]:
    """A function from a cell to `2011-12-09T12:50:00.000Z`. An ambiguous wall clock time is the first one."""
    place = ZoneInfo(zone)

    @lru_cache(maxsize=4096)
    def read(text: str) -> str:
        millis = _epoch(text, format) if format in {"epoch_s", "epoch_ms"} else _wall_clock(text, format, place)
        if not MIN_INSTANT <= millis <= MAX_INSTANT:
            raise ValueError(f"{text!r} is outside the years 1 to 9999")
        return format_instant(millis)

    return read


def _epoch(text: str, format: str) -> int:
    value = number(text)
    return int(value * 1000) if format == "epoch_s" else int(value)


def _wall_clock(text: str, format: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text) if format == "iso" else datetime.strptime(text, format)
    except ValueError:
        raise ValueError(f"{text!r} is no time of the format {format}") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return int((aware - EPOCH).total_seconds() * 1000)


def template_columns(template: str) -> list[str]:
    """The columns that a template names."""
    return _FIELD.findall(template)


def template_reader(template: str, cell_of: Callable[[str], Callable[[Sequence[str]], str]]) -> "TextReader":
    """A function from a row to the filled template, None when one of its columns is empty."""
    parts = _FIELD.split(template)
    if len(parts) == 1:
        return lambda row: template
    if len(parts) == 3 and not parts[0] and not parts[2]:
        alone = cell_of(parts[1])
        return lambda row: alone(row) or None
    literals, cells = parts[0::2], [cell_of(name) for name in parts[1::2]]

    def read(row: Sequence[str]) -> str | None:
        filled = literals[0]
        for cell, literal in zip(cells, literals[1:], strict=True):
            text = cell(row)
            if not text:
                return None
            filled += text + literal
        return filled

    return read


TextReader = Callable[[Sequence[str]], str | None]
