"""HTTP of what a customer did and was sent: events, sessions, messages."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from headrace.contracts.event import EventType
from headrace.contracts.instant import Millis, parse_instant
from services.profiles.answers import Limit, cursor_position, existing, page, position_cursor
from services.profiles.cursors import decode_cursor, encode_cursor, unknown_cursor
from services.profiles.messages_sql import Place, read_messages
from services.profiles.reads import Profiles, positions
from services.profiles.sessions import sessions as read_sessions
from services.profiles.timeline_reads import Filter, Kind, Order, filtered

Names = Annotated[list[str], Query(max_length=50)]


def timeline_routes(profiles: Profiles) -> APIRouter:
    router = APIRouter(prefix="/v1/profiles")

    async def root(profile_id: str) -> str:
        """The customer's id now. Raises ApiError 404."""
        found = await existing(profiles.get(profile_id))
        return str(found["id"])

    @router.get("/{profile_id}/events")
    async def events(
        profile_id: str,
        type: Annotated[list[EventType], Query()] = [],  # noqa: B006
        event: Names = [],  # noqa: B006
        source: Names = [],  # noqa: B006
        kind: Annotated[list[Kind], Query()] = [],  # noqa: B006
        since: str | None = None,
        until: str | None = None,
        order: Order = "newest",
        cursor: str | None = None,
        limit: Limit = 50,
    ) -> Response:
        """The customer's history, newest first, merged profiles' included; of it, what passes the filters."""
        wanted = Filter(
            type, _texts(event), _texts(source), kind, _instant(since, "since"), _instant(until, "until")
        )
        customer, place = await root(profile_id), cursor_position(cursor)
        if wanted == Filter() and order == "newest":
            items = await profiles.history(customer, place, limit)
        else:
            items = await filtered(profiles.engine, customer, wanted, place, order, limit)
        return page(items, position_cursor(positions(items)) if len(items) == limit else None)

    @router.get("/{profile_id}/sessions")
    async def sessions(profile_id: str, cursor: str | None = None, limit: Limit = 50) -> Response:
        """Runs of events with no pause of more than 30 minutes, newest first."""
        before = cursor_position(None if cursor is None else f"{cursor}.0.0")
        items = await read_sessions(
            profiles.engine, await root(profile_id), None if before is None else before[0], limit
        )
        return page(items, str(items[-1]["began_at"]) if len(items) == limit else None)

    @router.get("/{profile_id}/messages")
    async def messages(profile_id: str, cursor: str | None = None, limit: Limit = 50) -> Response:
        """What the customer was sent and what became of it, newest first."""
        items = await read_messages(profiles.engine, await root(profile_id), _place(cursor), limit)
        last = items[-1] if len(items) == limit else None
        return page(items, None if last is None else encode_cursor([str(last["at"]), last["id"]]))

    return router


def _texts(names: list[str]) -> list[str]:
    """Without what Postgres has no text for: nothing is called so."""
    return [name.replace("\0", "\N{REPLACEMENT CHARACTER}") for name in names]


def _instant(text: str | None, name: str) -> Millis | None:
    """Raises ApiError 400."""
    if text is None:
        return None
    try:
        return parse_instant(text.replace(" ", "+"))  # a + that was not escaped
    except ValueError as error:
        raise ApiError(
            400, "invalid_instant", f"`{name}` is no instant; write it as 2026-01-31T12:00:00Z."
        ) from error


def _place(cursor: str | None) -> Place | None:
    """Raises ApiError 400."""
    if cursor is None:
        return None
    at, *rest = decode_cursor(cursor)
    if len(rest) != 1 or not at.removeprefix("-").isdecimal():
        raise unknown_cursor()
    return int(at), rest[0]
