"""The service's HTTP side: tracking as raw ASGI in front, settings documents, health and docs by FastAPI."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.types import ASGIApp

from headrace.contracts.errors import ApiError
from headrace.runtime.access.guard import Access
from headrace.runtime.http import Check, create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.openapi import describe
from headrace.runtime.traced import traced_app
from headrace.runtime.tracing import OFF, Tracing
from services.ingest.auth import KeyRing, basic_key
from services.ingest.collector import Collector
from services.ingest.config import TrackingConfig
from services.ingest.openapi import OPERATIONS, tracking_paths
from services.ingest.settings_documents import base_url, rudder_source_config, segment_settings
from services.ingest.tracking import TrackingApi

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(
    collector: Collector,
    config: TrackingConfig,
    *,
    metrics: Metrics,
    clock: Callable[[], int],
    checks: Mapping[str, Check],
    access: Access,
    lifespan: Lifespan,
    guard: Callable[[ASGIApp], ASGIApp],
    public_url: str | None = None,
    tracing: Tracing = OFF,
    admin: Sequence[APIRouter] = (),
) -> TrackingApi:
    """The whole service as one ASGI app. `clock` gives milliseconds since the epoch; `guard` is put
    in front of what is not tracking; `admin` routers demand their token themselves."""
    app = create_app("Headrace ingest", metrics=metrics, checks=checks, access=access, lifespan=lifespan)
    app.router.redirect_slashes = False  # SDKs do not follow redirects
    _add_settings_documents(app, config.keys, public_url, trust_proxy=config.trusted_hops > 0)
    for router in admin:
        app.include_router(router)
    describe(app, OPERATIONS, tracking_paths())
    api = TrackingApi(traced_app(guard(app), tracing), collector, config, metrics, clock, tracing)
    metrics.ingest_bytes.set_function(lambda: api.held_bytes)
    metrics.ingest_bytes_limit.set(config.budget.capacity)
    return api


def _add_settings_documents(app: FastAPI, keys: KeyRing, public_url: str | None, *, trust_proxy: bool) -> None:
    @app.get("/v1/projects/{write_key}/settings", tags=["settings documents"])
    async def segment(write_key: str, request: Request) -> dict[str, Any]:
        """What analytics.js fetches from its `cdnURL`."""
        if keys.find(write_key) is None:
            raise _unknown()
        scheme = request.scope["scheme"]
        if trust_proxy and request.headers.get("x-forwarded-proto") in {"http", "https"}:
            scheme = request.headers["x-forwarded-proto"]
        return segment_settings(write_key, public_url or base_url(scheme, request.headers.get("host")))

    @app.get("/sourceConfig", include_in_schema=False)
    @app.get("/sourceConfig/", tags=["settings documents"])
    async def rudder(request: Request, writeKey: str = "") -> dict[str, Any]:  # noqa: N803
        """What RudderStack's browser SDK fetches from its `configUrl`."""
        key = writeKey or basic_key(request.headers.get("authorization", "").encode("latin-1"))
        source = keys.find(key)
        if source is None:
            raise _unknown()
        return rudder_source_config(key, source.name)


def _unknown() -> ApiError:
    return ApiError(404, "unknown_write_key", "This write key is not known here; check the key and the host.")
