"""HTTP of the profile service (DESIGN §5): read, erase, export, and the internal control route."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ControlRequest
from headrace.runtime.clock import now_ms
from headrace.runtime.http import Check, admin_guard, create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import finish
from services.profiles.erasure import erase
from services.profiles.merging import Merge, merge
from services.profiles.normalise import identifier
from services.profiles.quarantine_routes import quarantine_routes
from services.profiles.reads import Document, Position, Profiles, positions
from services.profiles.sequence import RowTooLarge
from services.profiles.settings import Settings
from services.profiles.store import put_control
from services.profiles.survey_api import add_surveys
from services.profiles.tag_routes import tag_routes
from services.profiles.trait_routes import trait_routes
from services.profiles.unmerge_routes import unmerge_routes

MAX_PAGE = 200
EXPORT_PAGE = 1_000


class MergeRequest(BaseModel):
    """`into`: id of the profile that stays."""

    into: str


Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Wake = Callable[[Iterable[int]], None]


def build_api(
    settings: Settings,
    *,
    pool: asyncpg.Pool,
    profiles: Profiles,
    wake: Wake,
    metrics: Metrics,
    checks: dict[str, Check],
    clock: Callable[[], Millis] = now_ms,
) -> FastAPI:
    """The app. `wake` is told which output partitions got new rows."""
    app = create_app("Headrace profiles", metrics=metrics, checks=checks)
    guard = Depends(admin_guard(settings.common.admin_token))
    app.include_router(_reads(profiles, settings.phone_region), dependencies=[guard])
    app.include_router(_writes(pool, settings, wake), dependencies=[guard])
    app.include_router(quarantine_routes(pool, settings.phone_region), dependencies=[guard])
    app.include_router(tag_routes(pool, profiles, settings.common.partitions, wake), dependencies=[guard])
    app.include_router(
        unmerge_routes(pool, profiles, settings.common.partitions, wake, settings.phone_region, settings.identity),
        dependencies=[guard],
    )
    app.include_router(trait_routes(pool), dependencies=[guard])
    add_surveys(app, guard, settings, pool=pool, wake=wake, clock=clock)
    return app


def _reads(profiles: Profiles, region: str | None) -> APIRouter:
    router = APIRouter(prefix="/v1/profiles")

    @router.get("")
    async def search(query: str | None = None, cursor: str = "", limit: Limit = 50) -> Response:
        """Profiles by id; `query` is an identifier or its beginning."""
        items = await profiles.page(query, cursor, limit)
        return _page(items, items[-1]["id"] if len(items) == limit else None)

    @router.get("/count")
    async def count() -> dict[str, int]:
        return {"count": await profiles.count()}

    @router.get("/lookup")
    async def lookup(type: str, value: str) -> Response:
        """The profile that has this identifier, in any spelling of it."""
        canonical = identifier(type, value, region)
        owner = await profiles.owner(type, canonical) if canonical is not None else None
        return _json(await _existing(profiles.get, owner))

    @router.get("/{profile_id}")
    async def get(profile_id: str) -> Response:
        return _json(await _existing(profiles.get, profile_id))

    @router.get("/{profile_id}/events")
    async def events(profile_id: str, cursor: str | None = None, limit: Limit = 50) -> Response:
        """The customer's history, newest first, merged profiles' included."""
        found = await _existing(profiles.get, profile_id)
        items = await profiles.history(found["id"], _position(cursor), limit)
        return _page(items, _cursor(positions(items)) if len(items) == limit else None)

    @router.get("/{profile_id}/export")
    async def export(profile_id: str) -> Response:
        """Everything held about the customer: `{profile, events}`, newest event first."""
        found = await _existing(profiles.get, profile_id)
        return StreamingResponse(_export(profiles, found), media_type="application/json")

    return router


def _writes(pool: asyncpg.Pool, settings: Settings, wake: Wake) -> APIRouter:
    router = APIRouter(prefix="/v1")
    partitions = settings.common.partitions

    @router.delete("/profiles/{profile_id}")
    async def delete(profile_id: str) -> dict[str, bool]:
        """Erase: the person is hidden at once, and every service is told."""
        if not await finish(erase(pool, profile_id, partitions)):
            raise _unknown()
        wake(range(partitions))
        return {"success": True}

    @router.post("/profiles/{profile_id}/merge")
    async def merge_into(profile_id: str, wanted: MergeRequest) -> dict[str, bool]:
        """Merge this profile into another. What is one already is left as it is."""
        outcome = await finish(merge(pool, profile_id, wanted.into, partitions, settings.identity))
        if outcome is Merge.UNKNOWN:
            raise _unknown()
        if outcome is Merge.TWO_CUSTOMERS:
            raise ApiError(
                409,
                "two_customers",
                "They have different user ids, or others of a hard type: two customers are never merged.",
            )
        wake(range(partitions))
        return {"success": True}

    @router.post("/control")
    async def control(request: Request) -> dict[str, Any]:
        """Internal: put a control record into the stream, once per `id`."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=ControlRequest)
        except msgspec.DecodeError as error:
            raise ApiError(400, "invalid_request", f"Send {{id, kind, payload}}: {error}") from error
        try:
            written = await finish(put_control(pool, wanted, partitions))
        except RowTooLarge as error:
            raise ApiError(413, "too_large", f"Send a smaller payload: {error}.") from error
        wake(written)
        return {"success": True, "positions": written}

    return router


async def _existing(get: Callable[[str], Awaitable[Document | None]], profile_id: str | None) -> Document:
    found = await get(profile_id) if profile_id is not None else None
    if found is None:
        raise _unknown()
    return found


def _unknown() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")


async def _export(profiles: Profiles, found: Document) -> AsyncIterator[bytes]:
    yield b'{"profile":' + msgspec.json.encode(found) + b',"events":['
    before: Position | None = None
    separator = b""
    while items := await profiles.history(found["id"], before, EXPORT_PAGE):
        yield separator + msgspec.json.encode(items)[1:-1]
        separator, before = b",", positions(items)
    yield b"]}"


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def _page(items: list[Document], following: str | None) -> Response:
    return _json({"items": items, "next": following})


def _cursor(position: Position) -> str:
    return ".".join(map(str, position))


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    try:
        time, q, seq = map(int, cursor.split("."))
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.") from error
    return time, q, seq
