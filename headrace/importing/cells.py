"""Reading one cell: numbers, truth values, currencies, words of a list. Nothing is guessed."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

CellReader = Callable[[str], Any]
"""From a cell that is not empty to its value. Raises ValueError with the reason."""

_INTEGER_DIGITS = 15  # JSON readers keep 53 bits
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_CURRENCY = re.compile(r"[A-Z]{3}")
_SHOWN = 60
_MOST_SHOWN = 10


class BadCell(ValueError):
    """The cell is not what the mapping says. `column` is its name, the text says what was expected."""

    def __init__(self, column: str, reason: str) -> None:
        self.column = column
        super().__init__(reason)


def shown(text: str) -> str:
    """A cell as it is quoted in a reason: a huge one would hide what is said about it."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… ({len(text)} characters)"


class Numbers:
    """How the numbers of a file are written. `1,234.50` has the decimal mark `.` and `,` between thousands."""

    def __init__(self, decimal: str = ".", thousands: str = "") -> None:
        whole = "[0-9]{1,18}"
        self._blank = thousands == " "
        mark = r"[ \u00a0\u2009\u202f]" if self._blank else re.escape(thousands)
        if thousands:
            whole = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}}){{1,5}}|{whole})"
        self._thousands = re.compile(mark) if thousands else None
        self._decimal = decimal
        self._number = re.compile(f"[+-]?{whole}(?:{re.escape(decimal)}[0-9]{{1,18}})?")
        self._example = "12.50" if decimal == "." else "12,50"
        # prices and quantities come again and again
        self.number = lru_cache(maxsize=65_536)(self._read)
        self.integer = lru_cache(maxsize=65_536)(self._whole)

    def _read(self, text: str) -> Decimal:
        """Raises ValueError for `1e9`, `NaN`, another decimal mark and the like."""
        if self._number.fullmatch(text) is None:
            raise ValueError(f"{shown(text)} is no number such as {self._example}{self._hint(text)}")
        if self._thousands is not None:
            text = self._thousands.sub("", text)
        return Decimal(text if self._decimal == "." else text.replace(",", "."))

    def _whole(self, text: str) -> int:
        """A whole number of at most 15 digits."""
        number = self._read(text) if self._number.fullmatch(text) else None
        if number is None or number != number.to_integral_value() or abs(number) >= 10**_INTEGER_DIGITS:
            raise ValueError(f"{shown(text)} is no whole number such as 12")
        return int(number)

    def _hint(self, text: str) -> str:
        other = "," if self._decimal == "." else "."
        marks = {mark for mark in ",. '" if mark in text}
        if other in marks and Numbers(other, " ")._number.fullmatch(text):
            return f"; if all of the file's numbers are written so, say csv.decimal: '{other}' in the mapping"
        return "; csv.decimal and csv.thousands say how the file writes them" if len(marks) > 1 else ""


def boolean(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ValueError(f"{shown(text)} is neither true, yes, 1 nor false, no, 0") from None


def currency(text: str) -> str:
    """A currency's three letters, in capitals."""
    code = text.upper()
    if not _CURRENCY.fullmatch(code):
        raise ValueError(f"{shown(text)} is no currency such as CZK")
    return code


def word_reader(values: Mapping[str, Any]) -> CellReader:
    """Looks a cell up among the words of a mapping's `map`."""

    def read(text: str) -> Any:
        try:
            return values[text]
        except KeyError:
            words = ", ".join(list(values)[:_MOST_SHOWN])
            raise ValueError(f"{shown(text)} is none of {words}") from None

    return read
