"""CSV as we write it (RFC 4180), safe to open in a spreadsheet. Pure. Nothing else here writes CSV."""

from collections.abc import Iterable

# What spreadsheets take for the beginning of a formula, also behind a quotation mark (OWASP, "CSV injection"; the
# wide forms are read like the others).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_QUOTED = frozenset(',"\r\n')


def csv_rows(rows: Iterable[Iterable[object]]) -> str:
    """The rows, each with its line end. None is an empty cell, numbers and truths are written as they are; a text
    that a spreadsheet would run gets an apostrophe in front: phone numbers in the form +420… too."""
    return "".join(",".join(map(_cell, row)) + "\r\n" for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if text.lstrip('"').startswith(FORMULA):
        text = f"'{text}"
    if _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
