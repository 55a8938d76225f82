"""What every service's HTTP side shares: errors in one shape, health, metrics, access."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match

from headrace.contracts.errors import ApiError, InvalidDefinition
from headrace.runtime.access.guard import Access
from headrace.runtime.access.trail import AuditEnd
from headrace.runtime.body_limit import BodyLimit
from headrace.runtime.http_metrics import MeasuredHttp
from headrace.runtime.metrics import Metrics
from headrace.runtime.process_metrics import watch_process

Check = Callable[[], Awaitable[None]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SLUGS = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
_MESSAGES = {404: "There is nothing at this path; see /docs.", 405: "This path takes other methods; see /docs."}

_OWN_TELEMETRY_OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own spans and log records hold paths, queries and exceptions' words, so people's names. Ours do not
(`headrace.runtime.traced`)."""


def create_app(
    title: str,
    *,
    metrics: Metrics,
    checks: Mapping[str, Check],
    access: Access,
    lifespan: Lifespan | None = None,
    streamed: Sequence[str] = (),
) -> FastAPI:
    """A FastAPI app with /healthz, /readyz, /metrics and errors as DESIGN §5. `checks` are the engines that
    /readyz asks, by name; a check raises when its engine does not answer. `access` decides on what has the
    dependency GUARD. Its requests are counted and timed, and their bodies bounded, see `BodyLimit` for
    `streamed`."""
    app = FastAPI(title=title, lifespan=lifespan, redoc_url=None, telemetry=_OWN_TELEMETRY_OFF)
    app.state.access = access
    app.add_middleware(BodyLimit, streamed=streamed)
    app.add_middleware(AuditEnd, trail=lambda: access.trail)
    app.add_middleware(MeasuredHttp, metrics=metrics)
    watch_process(metrics)
    _add_errors(app)
    _add_health(app, metrics, checks)
    return app


def error_response(status: int, code: str, message: str, *, retry_after: int | None = None) -> JSONResponse:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return JSONResponse({"success": False, "code": code, "message": message}, status, headers)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return error_response(error.status, error.code, error.message, retry_after=error.retry_after)

    @app.exception_handler(InvalidDefinition)
    async def invalid_definition(request: Request, error: InvalidDefinition) -> JSONResponse:
        body = {"success": False, "code": "invalid_definition", "message": str(error)}
        return JSONResponse({**body, "problems": [p.as_dict() for p in error.problems]}, 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if isinstance(error.body, bytes) and any(tuple(e["loc"]) == ("body",) for e in found):
            # its Content-Type is not that of JSON, so it was not read as such
            message = "Send the body as JSON, with the header Content-Type: application/json."
            return error_response(400, "invalid_request", message)
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)
        return error_response(400, "invalid_request", f"Correct the request: {where}.")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        slug = _SLUGS.get(error.status_code, "error")
        message = _MESSAGES.get(error.status_code, str(error.detail))
        answer = error_response(error.status_code, slug, message)
        answer.headers.update(error.headers or {})
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(_allowed(app, request))
        return answer

    async def no_text(request: Request, error: Exception) -> JSONResponse:
        return error_response(400, "invalid_request", "Leave out NUL characters: nothing here is called so.")

    for kind in (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError):
        app.add_exception_handler(kind, no_text)

    @app.exception_handler(RecursionError)
    async def too_deep(request: Request, error: RecursionError) -> JSONResponse:
        return error_response(400, "too_deep", "The body is nested too deep to be read.")

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return error_response(500, "internal", "The service failed on this request; the log has the reason.")


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """Every method that the path takes; starlette names those of the first route only."""

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in app.routes)

    return [method for method in _METHODS if takes(method)]


def _add_health(app: FastAPI, metrics: Metrics, checks: Mapping[str, Check]) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, bool]:
        return {"success": True}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        failed = {}
        for name, check in checks.items():
            try:
                await check()
            except Exception as error:
                failed[name] = type(error).__name__
        if failed:
            waiting = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
            return error_response(503, "not_ready", f"Waiting for {waiting}.", retry_after=1)
        return JSONResponse({"success": True, "ready": sorted(checks)})

    @app.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
