"""What all services must be given, each is given."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from headrace.runtime.access.guard import Access
from headrace.runtime.rate.guard import RateGuard
from headrace.runtime.settings import Environment
from services.ingest.tracking import TrackingApi
from tests.http.apps import ENVIRONMENT, assembled

HOPS = 3


def access_of(app: ASGIApp) -> Access:
    """Of the FastAPI app behind what stands in front of it."""
    while not isinstance(app, FastAPI):
        assert isinstance(app, TrackingApi | RateGuard)
        app = app.rest if isinstance(app, TrackingApi) else app.app
    access: Access = app.state.access
    return access


async def test_every_service_believes_as_many_proxies_in_its_audit_log_as_it_is_told() -> None:
    environment = Environment({**ENVIRONMENT.values, "HEADRACE_TRUSTED_HOPS": str(HOPS)})
    found = {name: access_of(app).trusted_hops for name, app in (await assembled(environment)).items()}
    assert found == dict.fromkeys(("ingest", "profiles", "segmenter", "messenger"), HOPS)


async def test_the_table_of_each_service_is_its_own() -> None:
    found = {name: access_of(app) for name, app in (await assembled()).items()}
    assert {name: access.service for name, access in found.items()} == {name: name for name in found}
