"""HTTP of the profile service (DESIGN §5): all routes; export, erase, merge and the internal control here."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ControlRequest
from headrace.runtime.clock import now_ms
from headrace.runtime.http import Check, admin_guard, create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import finish
from services.profiles.answers import existing, unknown_profile
from services.profiles.erasure import erase
from services.profiles.merging import Merge, merge
from services.profiles.profile_routes import profile_routes
from services.profiles.quarantine_routes import quarantine_routes
from services.profiles.reads import Document, Position, Profiles, positions
from services.profiles.sequence import RowTooLarge
from services.profiles.settings import Settings
from services.profiles.store import put_control
from services.profiles.survey_api import add_surveys
from services.profiles.tag_routes import tag_routes
from services.profiles.timeline_routes import timeline_routes
from services.profiles.trait_routes import trait_routes
from services.profiles.unmerge_routes import unmerge_routes

EXPORT_PAGE = 1_000


class MergeRequest(BaseModel):
    """`into`: id of the profile that stays."""

    into: str


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
    app.include_router(profile_routes(profiles, settings.phone_region), dependencies=[guard])
    app.include_router(timeline_routes(profiles), dependencies=[guard])
    app.include_router(_export_route(profiles), dependencies=[guard])
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


def _export_route(profiles: Profiles) -> APIRouter:
    router = APIRouter(prefix="/v1/profiles")

    @router.get("/{profile_id}/export")
    async def export(profile_id: str) -> Response:
        """Everything held about the customer: `{profile, events}`, newest event first."""
        found = await existing(profiles.get(profile_id))
        return StreamingResponse(_export(profiles, found), media_type="application/json")

    return router


def _writes(pool: asyncpg.Pool, settings: Settings, wake: Wake) -> APIRouter:
    router = APIRouter(prefix="/v1")
    partitions = settings.common.partitions

    @router.delete("/profiles/{profile_id}")
    async def delete(profile_id: str) -> dict[str, bool]:
        """Erase: the person is hidden at once, and every service is told."""
        if not await finish(erase(pool, profile_id, partitions)):
            raise unknown_profile()
        wake(range(partitions))
        return {"success": True}

    @router.post("/profiles/{profile_id}/merge")
    async def merge_into(profile_id: str, wanted: MergeRequest) -> dict[str, bool]:
        """Merge this profile into another. What is one already is left as it is."""
        outcome = await finish(merge(pool, profile_id, wanted.into, partitions, settings.identity))
        if outcome is Merge.UNKNOWN:
            raise unknown_profile()
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


async def _export(profiles: Profiles, found: Document) -> AsyncIterator[bytes]:
    yield b'{"profile":' + msgspec.json.encode(found) + b',"events":['
    before: Position | None = None
    separator = b""
    while items := await profiles.history(found["id"], before, EXPORT_PAGE):
        yield separator + msgspec.json.encode(items)[1:-1]
        separator, before = b",", positions(items)
    yield b"]}"
