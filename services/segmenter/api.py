"""HTTP of the segmenter (DESIGN §5): what the routes need, and which there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from fastapi import APIRouter, FastAPI

from headrace.contracts.errors import ApiError
from headrace.runtime.access.guard import GUARD, Access
from headrace.runtime.http import Check, create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.openapi import describe
from services.segmenter.controls import Controls, ProfilesUnavailable
from services.segmenter.customer_routes import add_customer_routes
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.definition_routes import Send, add_definition_routes
from services.segmenter.definitions import Definitions
from services.segmenter.forecast import Forecast
from services.segmenter.inspection import Inspection
from services.segmenter.inspection_routes import add_inspection_routes
from services.segmenter.life_routes import add_life_routes
from services.segmenter.list_routes import add_list_routes
from services.segmenter.lists import Lists
from services.segmenter.members import Members
from services.segmenter.membership_history import MembershipHistory
from services.segmenter.memberships_route import add_memberships_route
from services.segmenter.openapi import OPERATIONS
from services.segmenter.verification import Verification
from services.segmenter.versions import Versions


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, chosen in `main`."""

    definitions: Definitions
    versions: Versions
    controls: Controls
    members: Members
    inspection: Inspection
    history: MembershipHistory
    cut_points: CutPointKeeper
    forecast: Forecast
    verification: Verification
    profiles: httpx.AsyncClient


def build_app(
    services: Services,
    *,
    access: Access,
    metrics: Metrics,
    checks: Mapping[str, Check],
    first: Sequence[APIRouter] = (),
) -> FastAPI:
    """`first`: routes that would be taken for a segment's id otherwise."""
    app = create_app("Headrace segmenter", metrics=metrics, checks=checks, access=access, streamed=("/members",))
    for special in first:
        app.include_router(special)
    router = APIRouter(prefix="/v1", dependencies=[GUARD])
    definitions, members, inspection = services.definitions, services.members, services.inspection
    send = sending(services.controls)
    add_inspection_routes(router, definitions, inspection, services.forecast, services.verification)
    add_definition_routes(router, services.cut_points, definitions, members, services.history, send)
    add_life_routes(router, services.cut_points, definitions, services.versions, send)
    add_list_routes(router, definitions, Lists(services.profiles))
    add_customer_routes(router, members, inspection, services.profiles)
    add_memberships_route(router, members)
    app.include_router(router)
    describe(app, OPERATIONS)
    return app


def sending(controls: Controls) -> Send:
    """How routes have a change taken into the stream."""

    async def send() -> None:
        """Have the change taken into the stream before we say that it is accepted."""
        try:
            await controls.flush()
        except ProfilesUnavailable as error:
            controls.wake()
            raise ApiError(
                503, "unavailable", "Stored, and applied once the profile service answers.", retry_after=1
            ) from error

    return send
