"""What the segmenter's routes read and write: definitions in YAML or JSON, answers with exact numbers."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.segment import Definition, parse_segment

MAX_BODY = 256 * 1024
Limit = Annotated[int, Query(ge=1, le=1000)]

_json = msgspec.json.Encoder(decimal_format="number")


async def document(request: Request) -> Any:
    """The body's one document. Raises InvalidDefinition, or ApiError 413."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise ApiError(413, "too_large", f"A definition has at most {MAX_BODY} bytes.")
    try:
        # in a thread: a long text takes seconds, and this process has memberships to keep
        return await asyncio.to_thread(load_document, body.decode())
    except UnicodeDecodeError as error:
        raise InvalidDefinition([Problem("", "is not UTF-8 text", "send YAML or JSON in UTF-8")]) from error


def identified(given: Any, segment_id: str) -> Any:
    """The path names the segment; a body that names another is a mistake."""
    if not isinstance(given, dict):
        return given
    if given.get("id", segment_id) != segment_id:
        raise InvalidDefinition(
            [Problem("id", f"is not {segment_id!r} as in the path", f"write id: {segment_id}")]
        )
    return {**given, "id": segment_id}


def draft(given: Any, segment_id: str) -> Definition:
    """A definition of which the name, and of a segment the kind, may be missing. Raises InvalidDefinition."""
    if isinstance(given, dict):
        given = {"kind": "segment", "name": segment_id, **given}
    return parse_segment(identified(given, segment_id))


def answer(body: Mapping[str, Any]) -> Response:
    return Response(_json.encode(body), media_type="application/json")
