"""The parts of a multipart/form-data body (RFC 7578), in memory. No I/O."""

import re
from typing import NamedTuple

from headrace.contracts.errors import ApiError

MAX_PARTS = 10
_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="([^"\r\n]*)"', re.IGNORECASE)


class Part(NamedTuple):
    """One field of a form."""

    name: str
    content: bytes


def is_multipart(content_type: bytes | None) -> bool:
    return (content_type or b"").strip().lower().startswith(b"multipart/form-data")


def read_parts(body: bytes, content_type: bytes) -> dict[str, bytes]:
    """The parts by name. Raises ApiError 400 for what is no such body."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _malformed("its Content-Type names no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + (found[1] or found[2]), MAX_PARTS + 2)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _malformed(f"it does not end with its boundary, or has more than {MAX_PARTS} parts")
    return dict(_part(piece) for piece in pieces[1:-1])


def _part(piece: bytes) -> Part:
    head, border, content = piece.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not border or name is None:
        raise _malformed("a part has no name")
    return Part(name[1].decode("utf-8", "replace"), content)


def _malformed(reason: str) -> ApiError:
    return ApiError(400, "malformed_multipart", f"The body is no multipart/form-data: {reason}.")
