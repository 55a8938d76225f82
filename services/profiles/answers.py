"""What the routes of a customer answer with."""

from collections.abc import Awaitable
from typing import Annotated

import msgspec
from fastapi import Query
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from services.profiles.cursors import unknown_cursor
from services.profiles.reads import Document, Position

MAX_PAGE = 200
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


async def existing(found: Awaitable[Document | None]) -> Document:
    """Raises ApiError 404 for nobody."""
    document = await found
    if document is None:
        raise unknown_profile()
    return document


def unknown_profile() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")


def answer(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def page(items: list[Document], following: str | None) -> Response:
    return answer({"items": items, "next": following})


def position_cursor(position: Position) -> str:
    return ".".join(map(str, position))


def cursor_position(cursor: str | None) -> Position | None:
    """Raises ApiError 400."""
    if cursor is None:
        return None
    try:
        time, q, seq = map(int, cursor.split("."))
    except ValueError as error:
        raise unknown_cursor() from error
    if not (abs(q) < 2**31 and max(abs(time), abs(seq)) < 2**63):  # what the columns hold
        raise unknown_cursor()
    return time, q, seq
