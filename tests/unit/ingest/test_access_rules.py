"""No route of ingest stands open by oversight."""

from fastapi import FastAPI

from headrace.runtime.rate.guard import RateGuard
from services.ingest.access import RULES
from tests.guarded import check_routes
from tests.unit.ingest.service import start_ingest

PUBLIC = {
    "GET /v1/projects/{write_key}/settings",
    "GET /sourceConfig",
    "GET /sourceConfig/",
    "GET /v1/hooks/whatsapp",
    "GET /v1/hooks/bulkgate",
    "POST /v1/hooks/{provider}",
}
"""What SDKs fetch by a write key, and what providers call with a signature."""


async def test_every_route_asks_for_a_scope() -> None:
    guard = (await start_ingest()).app.rest
    assert isinstance(guard, RateGuard)
    assert isinstance(guard.app, FastAPI)
    check_routes(guard.app, RULES, public=PUBLIC)
