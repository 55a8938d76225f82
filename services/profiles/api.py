"""HTTP of the profile service (DESIGN §5): all routes; export, erase, merge and the internal control here."""

from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import msgspec
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import ControlRequest
from headrace.runtime.access.guard import GUARD, Access
from headrace.runtime.clock import now_ms
from headrace.runtime.http import Check, create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.openapi import describe
from headrace.runtime.tasks import finish
from services.profiles.access import RULES
from services.profiles.answers import unknown_profile
from services.profiles.consent_routes import ADMIN, Actor, consent_routes
from services.profiles.erasure import erase
from services.profiles.export import Elsewhere
from services.profiles.export_routes import export_routes
from services.profiles.merging import Merge, merge
from services.profiles.openapi import OPERATIONS
from services.profiles.preference_routes import preference_routes
from services.profiles.profile_routes import profile_routes
from services.profiles.quarantine_routes import quarantine_routes
from services.profiles.reads import Profiles
from services.profiles.sequence import RowTooLarge
from services.profiles.settings import Settings
from services.profiles.store import put_control
from services.profiles.suppression import Suppressor
from services.profiles.suppression_routes import suppression_routes
from services.profiles.survey_api import add_surveys
from services.profiles.tag_routes import tag_routes
from services.profiles.timeline_routes import timeline_routes
from services.profiles.trait_routes import trait_routes
from services.profiles.unmerge_routes import unmerge_routes


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
    suppressor: Suppressor,
    elsewhere: Elsewhere,
    metrics: Metrics,
    checks: dict[str, Check],
    clock: Callable[[], Millis] = now_ms,
) -> FastAPI:
    """The app. `wake` is told which output partitions got new rows; `elsewhere` is asked for an export."""
    app = create_app(
        "Headrace profiles",
        metrics=metrics,
        checks=checks,
        access=Access.by_root(
            "profiles", RULES, settings.common.admin_token, trusted_hops=settings.guard.trusted_hops
        ),
    )
    app.include_router(profile_routes(profiles, settings.phone_region), dependencies=[GUARD])
    app.include_router(timeline_routes(profiles), dependencies=[GUARD])
    app.include_router(export_routes(pool, profiles, elsewhere), dependencies=[GUARD])
    app.include_router(_writes(pool, settings, wake, suppressor), dependencies=[GUARD])
    app.include_router(suppression_routes(pool, suppressor, settings.phone_region), dependencies=[GUARD])
    app.include_router(quarantine_routes(pool, settings.phone_region), dependencies=[GUARD])
    app.include_router(tag_routes(pool, profiles, settings.common.partitions, wake), dependencies=[GUARD])
    app.include_router(consent_routes(pool, profiles, settings.common.partitions, wake), dependencies=[GUARD])
    app.include_router(
        preference_routes(pool, settings.common.partitions, wake, settings.identity), dependencies=[GUARD]
    )
    app.include_router(
        unmerge_routes(
            pool, profiles, settings.common.partitions, wake, settings.phone_region, settings.identity, suppressor
        ),
        dependencies=[GUARD],
    )
    app.include_router(trait_routes(pool), dependencies=[GUARD])
    add_surveys(app, GUARD, settings, pool=pool, wake=wake, clock=clock)
    describe(app, OPERATIONS)
    return app


def _writes(pool: asyncpg.Pool, settings: Settings, wake: Wake, suppressor: Suppressor) -> APIRouter:
    router = APIRouter(prefix="/v1")
    partitions = settings.common.partitions

    @router.delete("/profiles/{profile_id}")
    async def delete(profile_id: str, suppress: bool = True, actor: Actor = ADMIN) -> dict[str, bool]:
        """Erase: the person is hidden at once, and every service is told. What names the person is dropped from
        then on; with `suppress=false` it makes somebody new."""
        hashes = suppressor if suppress else None
        if not await finish(erase(pool, profile_id, partitions, suppressor=hashes, actor=actor)):
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
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ApiError(400, "invalid_request", f"Send {{id, kind, payload}}: {error}") from error
        try:
            written = await finish(put_control(pool, wanted, partitions))
        except RowTooLarge as error:
            raise ApiError(413, "too_large", f"Send a smaller payload: {error}.") from error
        wake(written)
        return {"success": True, "positions": written}

    return router
