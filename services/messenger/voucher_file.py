"""Files of voucher codes: how they are read, and how they are written. No I/O."""

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from headrace.contracts.errors import ApiError

MAX_CODES = 1_000_000
MEDIA_TYPE = "text/csv; charset=utf-8"
COLUMNS = (
    "code",
    "status",
    "profile_id",
    "campaign_id",
    "assigned_at",
    "expires_at",
    "redeemed_at",
    "redeemed",
    "order_id",
)
_MAX_LINE = 1_000
_CODE = re.compile(r"[A-Za-z0-9_-]{3,64}")
# what a spreadsheet takes for a formula: OWASP, "CSV injection"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class BadLine(ValueError):
    """There is no code in this line; the message says why."""


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a file that comes in pieces. Raises ApiError for what is no UTF-8, or too much."""
    rest, count = b"", 0
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise ApiError(400, "line_too_long", "Send one code a line.")
        for raw in whole:
            count += 1
            yield _text(raw, count)
    if rest:
        yield _text(rest, count + 1)


def code_of(number: int, line: str) -> str | None:
    """The code of a line of text or CSV: its first field. None for an empty line and for the header `code`, which
    may be the first. Raises BadLine."""
    field = line.split(",", 1)[0].strip()
    code = field[1:-1].strip() if len(field) > 1 and field[0] == field[-1] == '"' else field
    if not code or (number == 1 and code.lower() == "code"):
        return None
    if not _CODE.fullmatch(code):
        raise BadLine("is no code: write 3 to 64 of A-Z, a-z, 0-9, _ and -")
    return code


def head() -> str:
    """What stands before the first row."""
    return ",".join(COLUMNS) + "\r\n"


def rows(codes: Sequence[Mapping[str, Any]]) -> str:
    """These codes' rows, each with its line end. A text that a spreadsheet would run has an apostrophe in
    front."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(code[name]) for name in COLUMNS] for code in codes)
    return text.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _text(raw: bytes, number: int) -> str:
    if number > MAX_CODES + 1:  # one may be the header
        raise ApiError(413, "too_many", f"Send at most {MAX_CODES} codes at a time; those before are stored.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiError(400, "not_utf8", f"Send the codes as UTF-8; line {number} is not.") from error
