"""The audit log as services write it: one row before an act, one when it has ended."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import asyncpg
import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.contracts.errors import ApiError
from headrace.runtime.access.act import Act

log = structlog.get_logger()

ACTS = "headrace.acts"
"""Where a request's scope keeps what the guard has let begin."""
_SECONDS = 5.0
_WRITE = "SELECT access.audit_v1($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11)"


class Trail(Protocol):
    """Where acts are written down."""

    async def begin(self, act: Act) -> None:
        """Durable when it returns. Raises ApiError 503: then the act must not be done."""

    async def end(self, act: Act, status: int, duration_ms: int) -> None:
        """Never raises: what is done is done. What could not be written is said in the log."""


class LogTrail:
    """For a service without a database: acts stand in its log only."""

    async def begin(self, act: Act) -> None:
        log.info("administrative_act", act=act.id, actor=act.actor_id, method=act.method, route=act.route)

    async def end(self, act: Act, status: int, duration_ms: int) -> None:
        log.info("administrative_act_ended", act=act.id, status=status, duration_ms=duration_ms)


class PostgresTrail:
    """Writes through `access.audit_v1`, which is all that services may do with the audit log."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def begin(self, act: Act) -> None:
        try:
            await self._write(act, None, None)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("audit_refused_act", route=act.route, exc_info=error)
            raise ApiError(
                503,
                "audit_unavailable",
                "Nothing was done: the audit log cannot be written. Try again when Postgres answers "
                "(after an update, run `headrace migrate` first).",
                retry_after=1,
            ) from error

    async def end(self, act: Act, status: int, duration_ms: int) -> None:
        try:
            await self._write(act, status, duration_ms)
        except Exception as error:
            log.error("audit_end_not_written", act=act.id, status=status, exc_info=error)

    async def _write(self, act: Act, status: int | None, duration_ms: int | None) -> None:
        shown = msgspec.json.encode(dict(act.target)).decode()
        who = (act.id, act.actor_id, act.actor_name, act.address)
        what = (act.service, act.method, act.route, shown, act.request_id)
        async with asyncio.timeout(_SECONDS), self._pool.acquire() as connection:
            await connection.execute(_WRITE, *who, *what, status, duration_ms)


class AuditEnd:
    """ASGI app around `app`: writes how each act that the guard has let begin has ended."""

    def __init__(self, app: ASGIApp, trail: Callable[[], Trail]) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        acts: list[Act] = []
        scope[ACTS] = acts
        status, started = 500, time.monotonic()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            for act in acts:
                await self._trail().end(act, status, round((time.monotonic() - started) * 1000))
