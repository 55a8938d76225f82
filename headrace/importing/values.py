"""Readers for the values of properties, traits and items: of one line, or of a whole receipt."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, localcontext
from functools import partial
from typing import Any

from headrace.importing.cells import BadCell, CellReader, Numbers, boolean, currency, word_reader
from headrace.importing.columns import BadRow, Columns
from headrace.importing.mapping_values import Column, Constant, Count, Sum
from headrace.importing.rows import NumberedRow, Row
from headrace.importing.templates import template_reader
from headrace.importing.times import date_reader, instant_reader

LineReader = Callable[[Row], Any]
"""From a cleaned row to the value, None where it is left out. Raises BadCell."""
ReceiptReader = Callable[[Sequence[NumberedRow]], Any]
"""From a receipt's cleaned rows to the value, None where it is left out. Raises BadRow."""

# Sums are exact or refused: no digit is ever rounded away.
_EXACT = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class Readers:
    """Makes readers for one file."""

    columns: Columns
    numbers: Numbers

    def of_receipt(self, value: Any) -> ReceiptReader:
        if isinstance(value, Count):
            return len
        if isinstance(value, Sum):
            return self._sum(value.sum)
        if isinstance(value, Constant):
            return lambda rows: value.value
        read = self.of_line(value)

        def from_first(rows: Sequence[NumberedRow]) -> Any:
            try:
                return read(rows[0].cells)
            except BadCell as error:
                raise BadRow(rows[0].line, error.column, str(error)) from error

        return from_first

    def of_line(self, value: Any) -> LineReader:
        if isinstance(value, str):
            return template_reader(value, self.columns.cell)
        if isinstance(value, Constant):
            return lambda row: value.value
        if not isinstance(value, Column):
            raise TypeError(value)
        cell, default = self.columns.cell(value.column), value.default
        convert = self._converter(value)
        if convert is None:
            return lambda row: cell(row) or default
        return partial(_converted, cell, default, convert, value.column)

    def nested(self, values: Mapping[str, Any]) -> ReceiptReader:
        """The values under their dotted names as one object, without those that are empty."""
        readers = [(tuple(name.split(".")), self.of_receipt(value)) for name, value in values.items()]
        return partial(_nested, readers)

    def _converter(self, column: Column) -> CellReader | None:
        if column.map is not None:
            return word_reader(column.map)
        kinds: dict[str, CellReader] = {
            "number": self.numbers.number,
            "integer": self.numbers.integer,
            "boolean": boolean,
            "currency": currency,
        }
        if column.type == "instant":
            return instant_reader(column.format, column.zone)
        return date_reader(column.format) if column.type == "date" else kinds.get(column.type)

    def _sum(self, names: Sequence[str]) -> ReceiptReader:
        return partial(_total, [(name, self.columns.cell(name)) for name in names], self.numbers.number)


def _converted(cell: Callable[[Row], str], default: str | None, convert: CellReader, name: str, row: Row) -> Any:
    text = cell(row) or default
    if not text:
        return None
    try:
        return convert(text)
    except ValueError as error:
        raise BadCell(name, str(error)) from error


def _total(
    factors: Sequence[tuple[str, Callable[[Row], str]]],
    number: Callable[[str], Decimal],
    rows: Sequence[NumberedRow],
) -> Decimal:
    result = Decimal(0)
    with localcontext(_EXACT):
        for line, cells in rows:
            product = Decimal(1)
            for name, cell in factors:
                try:
                    product *= number(cell(cells))
                except ValueError as error:
                    raise BadRow(line, name, str(error)) from error
                except Inexact as error:
                    raise BadRow(line, name, "has too many digits to multiply exactly") from error
            try:
                result += product
            except Inexact as error:
                raise BadRow(line, factors[0][0], "has too many digits to add exactly") from error
    return result


def _nested(
    readers: Iterable[tuple[tuple[str, ...], ReceiptReader]], rows: Sequence[NumberedRow]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path, read in readers:
        value = read(rows)
        if value is None:
            continue
        place = result
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return result
