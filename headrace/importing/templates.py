"""Texts with cells filled in: `invoice:{InvoiceNo}`."""

import re
from collections.abc import Callable, Sequence

_FIELD = re.compile(r"\{([^{}]+)\}")

TextReader = Callable[[Sequence[str]], str | None]
CellOf = Callable[[str], Callable[[Sequence[str]], str]]


def template_columns(template: str) -> list[str]:
    """The columns that a template names."""
    return _FIELD.findall(template)


def template_reader(template: str, cell_of: CellOf) -> TextReader:
    """A function from a row to the filled template, None when one of its columns is empty."""
    parts = _FIELD.split(template)
    if len(parts) == 1:
        return lambda row: template
    if len(parts) == 3:
        before, after = parts[0], parts[2]
        alone = cell_of(parts[1])
        if not before and not after:
            return lambda row: alone(row) or None
        return lambda row: f"{before}{text}{after}" if (text := alone(row)) else None
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
