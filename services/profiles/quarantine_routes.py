"""HTTP of quarantine: what is in it, and letting it out."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel

from headrace.contracts.errors import ApiError
from headrace.runtime.tasks import finish
from services.profiles.identity import Identifier
from services.profiles.normalise import identifier
from services.profiles.quarantine_sql import quarantined, release

MAX_PAGE = 200
_FIRST: Identifier = ("", "")


class QuarantinedIdentifier(BaseModel):
    """An identifier in any spelling of it."""

    type: str
    value: str


def quarantine_routes(pool: asyncpg.Pool, region: str | None) -> APIRouter:
    """The routes. `region` is where national phone numbers belong."""
    router = APIRouter(prefix="/v1/identifiers")

    @router.get("/quarantined")
    async def items(
        cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50
    ) -> dict[str, Any]:
        """Identifiers that say no more who somebody is, by type and value."""
        found = await quarantined(pool, _position(cursor), limit)
        return {"items": found, "next": _cursor(found[-1]) if len(found) == limit else None}

    @router.post("/release")
    async def let_out(wanted: QuarantinedIdentifier) -> dict[str, bool]:
        """Let an identifier say again who somebody is. `released` is false when it was not in quarantine."""
        canonical = identifier(wanted.type, wanted.value, region)
        released = None if canonical is None else await finish(release(pool, (wanted.type, canonical)))
        if released is None:
            raise ApiError(404, "unknown_identifier", "Nobody has this identifier; check its type and value.")
        return {"success": True, "released": released}

    return router


def _cursor(item: dict[str, Any]) -> str:
    return urlsafe_b64encode(msgspec.json.encode((item["type"], item["value"]))).decode()


def _position(cursor: str | None) -> Identifier:
    if cursor is None:
        return _FIRST
    try:
        kind, value = msgspec.json.decode(urlsafe_b64decode(cursor), type=Identifier)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.") from error
    return kind, value
