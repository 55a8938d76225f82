"""Members of a segment as rows of CSV or NDJSON. No I/O."""

import csv
import io
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

Format: TypeAlias = Literal["csv", "ndjson"]

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

# what a spreadsheet takes for a formula: OWASP, "CSV injection"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encode = msgspec.json.Encoder().encode_lines


class ExportedMember(msgspec.Struct, frozen=True):
    """One row: the member as its profile is now (null where it has none), and its membership."""

    profile_id: str
    user_id: str | None
    email: str | None
    phone: str | None
    entered_at: str | None
    version: int
    entry_id: str


def head(form: Format) -> bytes:
    """What stands before the first row."""
    return _lines([ExportedMember.__struct_fields__]) if form == "csv" else b""


def rows(form: Format, members: Sequence[ExportedMember]) -> bytes:
    """These members' rows, each with its line end."""
    if form == "ndjson":
        return _encode(members)
    return _lines([[_cell(value) for value in msgspec.structs.astuple(member)] for member in members])


def _cell(value: object) -> str:
    """As CSV has it; a text that a spreadsheet would run gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(table: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue().encode("utf-8", "replace")
