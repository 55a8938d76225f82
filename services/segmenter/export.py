"""Members of a segment as rows of CSV or NDJSON. No I/O."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from headrace.contracts.csv_text import csv_rows

Format: TypeAlias = Literal["csv", "ndjson"]

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

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
    return _csv([ExportedMember.__struct_fields__]) if form == "csv" else b""


def rows(form: Format, members: Sequence[ExportedMember]) -> bytes:
    """These members' rows, each with its line end."""
    if form == "ndjson":
        return _encode(members)
    return _csv(map(msgspec.structs.astuple, members))


def _csv(table: Iterable[Iterable[object]]) -> bytes:
    return csv_rows(table).encode("utf-8", "replace")
