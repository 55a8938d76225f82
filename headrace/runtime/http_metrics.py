"""Counts and times the requests of a FastAPI app, by the template of their route."""

import asyncio
import time
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.runtime.metrics import Metrics

UNMATCHED = "unmatched"
"""The label of all paths that no route has: what strangers ask for must not make series."""
GONE = 499
"""The status of requests whose client left before the answer began."""


class MeasuredHttp:
    """ASGI middleware. A request that fails with an exception counts as 500, as it is answered further out."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = lru_cache(metrics.http_requests.labels)
        self._seconds = lru_cache(metrics.http_seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            status = GONE
            raise
        finally:
            label = route_label(scope)
            self._requests(label, status).inc()
            self._seconds(label).observe(time.perf_counter() - started)


def route_label(scope: Scope) -> str:
    """The template of the route that took the request, such as `/v1/profiles/{profile_id}`."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else UNMATCHED
