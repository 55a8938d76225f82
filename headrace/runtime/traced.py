"""The log and the HTTP side with spans around them. Without tracing they are left as they are."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.log.port import Log, NewRecord
from headrace.runtime.tracing import Tracing

_UNSEEN = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask all the time."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


def traced_log(log: Log, tracing: Tracing) -> Log:
    """`log`, with a span around each append that carries a sampled record."""
    return TracedLog(log, tracing) if tracing.on else log


def traced_app(app: ASGIApp, tracing: Tracing) -> ASGIApp:
    """`app`, with a span around each sampled request."""
    return TracedApp(app, tracing) if tracing.on else app


class TracedLog:
    """Keeps the port's contract by leaving everything to `log`."""

    def __init__(self, log: Log, tracing: Tracing) -> None:
        self._log = log
        self._tracing = tracing
        self.create_topics = log.create_topics
        self.read = log.read
        self.bounds = log.bounds
        self.erase = log.erase
        self.join = log.join
        self.close = log.close

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        with self._tracing.producing(topic, partition, records):
            return await self._log.append(topic, partition, records)


class TracedApp:
    """ASGI app. A request is called by its route, so that nobody's id gets into a name."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNSEEN:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "HTTP"
        sent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        attributes = {"http.request.method": method, "url.scheme": scope.get("scheme", "http")}
        with self._tracing.serving(method, sent, attributes) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note({"http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        span.fail(str(message["status"]))
                await send(message)

            await self._app(scope, receive, noted)
            route = getattr(scope.get("route"), "path", None)
            if isinstance(route, str):
                span.note({"http.route": route})
                span.end(f"{method} {route}")
