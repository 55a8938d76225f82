"""Readers for the values of properties, traits and items: of one line, or of a whole receipt."""

from collections.abc import Callable, Sequence
from decimal import Context, Decimal, Inexact, localcontext
from typing import Any

from headrace.importing.cells import BadCell, boolean, instant_reader, integer, number, template_reader
from headrace.importing.columns import BadRow, Columns
from headrace.importing.grouping import NumberedRow, Row
from headrace.importing.mapping import Column, Constant, Count, Sum

LineReader = Callable[[Row], Any]
ReceiptReader = Callable[[Sequence[NumberedRow]], Any]

# Sums are exact or refused: no digit is ever rounded away.
_EXACT = Context(prec=60, traps=[Inexact])


def receipt_reader(value: Any, columns: Columns) -> ReceiptReader:
    """A function from a receipt's rows to the value, None where it is left out. It raises BadRow."""
    if isinstance(value, Count):
        return len
    if isinstance(value, Sum):
        return _sum_reader(value.sum, columns)
    read = line_reader(value, columns)

    def from_first(rows: Sequence[NumberedRow]) -> Any:
        try:
            return read(rows[0].cells)
        except BadCell as error:
            raise BadRow(rows[0].line, error.column, str(error)) from error

    return from_first


def _sum_reader(names: Sequence[str], columns: Columns) -> ReceiptReader:
    factors = [(name, columns.cell(name)) for name in names]

    def total(rows: Sequence[NumberedRow]) -> Decimal:
        result = Decimal(0)
        with localcontext(_EXACT):
            for row in rows:
                product = Decimal(1)
                for name, cell in factors:
                    try:
                        product *= number(cell(row.cells))
                    except ValueError as error:
                        raise BadRow(row.line, name, str(error)) from error
                    except Inexact as error:
                        raise BadRow(row.line, name, "has too many digits to multiply exactly") from error
                result += product
        return result

    return total


def line_reader(value: Any, columns: Columns) -> LineReader:
    """A function from a row to the value, None where it is left out. It raises BadCell."""
    if isinstance(value, str):
        return template_reader(value, columns.cell)
    if isinstance(value, Constant):
        return lambda row: value.value
    if not isinstance(value, Column):
        raise TypeError(value)
    cell = columns.cell(value.column)
    default = value.default
    if value.type == "text":
        return lambda row: cell(row) or default
    convert = _converter(value)

    def read(row: Row) -> Any:
        text = cell(row) or default
        if not text:
            return None
        try:
            return convert(text)
        except ValueError as error:
            raise BadCell(value.column, str(error)) from error

    return read


def _converter(column: Column) -> Callable[[str], Any]:
    if column.type == "instant":
        return instant_reader(column.format, column.zone)
    if column.type == "number":
        return number
    return integer if column.type == "integer" else boolean
