"""Members of a static list as they are sent: JSON, NDJSON or CSV; profile ids or identifiers."""

import csv
import re
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from headrace.contracts.errors import ApiError

MAX_UPLOAD = 16 * 1024 * 1024
MAX_LINE = 2_048
MAX_TEXT = 256
NAMED = ("user_id", "email", "phone", "anonymous_id")
"""Columns of a CSV that find a customer by themselves, the surest first."""

_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Identifier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`email` and `jana@shop.test`; `user_id`, `phone`, `anonymous_id` or an external id's own type."""

    type: str
    value: str


Person = str | Identifier
"""A profile's id, or something that finds one."""


class MembersRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    add: tuple[Person, ...] = ()
    remove: tuple[Person, ...] = ()


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profile_id: str | None = None
    type: str | None = None
    value: str | None = None


_requests = msgspec.json.Decoder(MembersRequest)
_line = msgspec.json.Decoder(_Line | str)


def parse_request(body: bytes) -> MembersRequest:
    """Raises ApiError 400."""
    try:
        wanted = _requests.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f'Send {{"add": [...], "remove": [...]}} of profile ids or {{"type", "value"}}: {error}.'
        raise ApiError(400, "invalid_members", message) from error
    for person in (*wanted.add, *wanted.remove):
        _checked(person, "")
    both = {*wanted.add} & {*wanted.remove}
    if both:
        raise ApiError(400, "invalid_members", f"Either add or remove {_named(next(iter(both)))}, not both.")
    return wanted


async def lines(body: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The text's lines, without their ends. Raises ApiError 400 and 413."""
    rest, size, number = b"", 0, 0
    async for piece in body:
        size += len(piece)
        if size > MAX_UPLOAD:
            message = (
                f"At most {MAX_UPLOAD} bytes at once; what came before is on the list: send the rest in parts."
            )
            raise ApiError(413, "too_large", message)
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            yield _text(line, number)
        if len(rest) > MAX_LINE:
            raise _wrong(number + 1, f"a line has at most {MAX_LINE} bytes")
    if rest:
        yield _text(rest, number + 1)


class Csv:
    """Rows under a head that names the column to go by: `profile_id`; `type` and `value`; or else one of `NAMED`.
    Other columns may stand beside it, as in an export of members."""

    def __init__(self) -> None:
        self._head: Sequence[str] | None = None
        self._named = ""

    def person(self, line: str, number: int) -> Person | None:
        """None for the head and for empty lines. Raises ApiError 400."""
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
        except csv.Error as error:
            raise _wrong(number, f"is not CSV: {error}") from error
        if not any(cells):
            return None
        if self._head is None:
            self._head = [cell.lower() for cell in cells]
            self._named = _named_column(self._head, number)
            return None
        if len(cells) != len(self._head):
            raise _wrong(number, f"has {len(cells)} columns in place of {len(self._head)}")
        row = dict(zip(self._head, cells, strict=True))
        if self._named == "type":
            return _checked(Identifier(row["type"], row["value"]), number)
        text = row[self._named]
        return _checked(text if self._named == "profile_id" else Identifier(self._named, text), number)


class Ndjson:
    """A profile id, `{"profile_id"}` or `{"type", "value"}` a line."""

    def person(self, line: str, number: int) -> Person | None:
        """None for empty lines. Raises ApiError 400."""
        if not line.strip():
            return None
        try:
            found = _line.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _wrong(number, f"is neither a profile id nor an identifier: {error}") from error
        if isinstance(found, str):
            return _checked(found, number)
        if (found.profile_id is None) is (found.type is None or found.value is None):
            raise _wrong(number, "must have profile_id, or type and value")
        return _checked(found.profile_id or Identifier(found.type or "", found.value or ""), number)


def plain(person: Person) -> str | Mapping[str, str]:
    """As JSON."""
    return person if isinstance(person, str) else {"type": person.type, "value": person.value}


def _named_column(head: Sequence[str], number: int) -> str:
    """Which column names the customer; `type` stands for it and `value`. Raises ApiError 400."""
    twice = next((name for name in head if name and head.count(name) > 1), None)
    if twice is not None:
        raise _wrong(number, f"the first line names {twice} twice")
    if "profile_id" in head:
        return "profile_id"
    if "type" in head and "value" in head:
        return "type"
    for name in NAMED:
        if name in head:
            return name
    raise _wrong(number, f"the first line must name a column profile_id, {', '.join(NAMED)}, or type and value")


def _checked(person: Person, number: int | str) -> Person:
    for text in (person,) if isinstance(person, str) else (person.type, person.value):
        if not 0 < len(text) <= MAX_TEXT or _UNUSABLE.search(text):
            raise _wrong(number, f"an id has 1 to {MAX_TEXT} characters, none of them a control character")
    return person


def _text(line: bytes, number: int) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(number, "is not UTF-8 text") from error


def _named(person: Person) -> str:
    return person if isinstance(person, str) else f"{person.type}:{person.value}"


def _wrong(number: int | str, reason: str) -> ApiError:
    where = f"Line {number}: " if number else ""
    return ApiError(400, "invalid_members", f"{where}{reason}.")
