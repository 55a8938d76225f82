"""HTTP of customers' messages: listed, and answered."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from services.messenger.customers import family_of, roots_of
from services.messenger.direct import Direct
from services.messenger.store import Pool

_WHATSAPP_MS = 24 * 3_600_000
Limit = Annotated[int, Query(ge=1, le=500)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=1_600)]


def inbound_routes(
    pool: Pool, direct: Direct, *, clock: Callable[[], Millis], on_pending: Callable[[], None]
) -> APIRouter:
    router = APIRouter()

    @router.get("/inbound")
    async def page(profile_id: str | None = None, cursor: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """What customers wrote, newest first; of one customer, or of all."""
        async with pool.acquire() as connection:
            family = await family_of(connection, profile_id) if profile_id is not None else None
            rows = await connection.fetch(_PAGE, family, *_after(cursor), limit)
        items = [dict(row) for row in rows]
        return {"items": items, "next": _cursor(items[-1]) if len(items) == limit else None}

    @router.post("/inbound/{inbound_id}/reply")
    async def reply(inbound_id: str, wanted: Reply, key: Key) -> dict[str, Any]:
        """Answer on the same channel. The same Idempotency-Key is one answer."""
        now = clock()
        async with pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow("SELECT * FROM inbound WHERE id = $1 FOR UPDATE", inbound_id)
            if row is None:
                raise ApiError(404, "not_found", "There is no such message; see /v1/inbound.")
            if row["profile_id"] is None:
                raise ApiError(409, "unknown_customer", "Nobody is known to have this number: import it first.")
            if row["channel"] == "whatsapp" and now - row["at"] > _WHATSAPP_MS:
                raise ApiError(409, "window_closed", "WhatsApp allows free text for 24 hours: send a template.")
            root = (await roots_of(connection, [row["profile_id"]]))[row["profile_id"]]
            text = wanted.text.replace("\0", "")
            message_id = await direct.send(
                connection, root, row["channel"], text, request=f"{inbound_id} {key}", now=now
            )
            await connection.execute(
                "UPDATE inbound SET answered_at = coalesce(answered_at, $2) WHERE id = $1", inbound_id, now
            )
        on_pending()
        return {"message_id": message_id}

    return router


def _cursor(item: Mapping[str, Any]) -> str:
    return f"{item['at']}.{item['id']}"


def _after(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 2**62, ""
    at, _, key = cursor.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 18):
        raise ApiError(400, "bad_cursor", "Pass `next` of the page before, unchanged.")
    return int(at), key


_PAGE = """
    SELECT id, channel, provider, profile_id, text, keyword, at, answered_at FROM inbound
    WHERE ($1::text[] IS NULL OR profile_id = ANY($1)) AND (at, id) < ($2, $3)
    ORDER BY at DESC, id DESC LIMIT $4
"""
