"""The spans of tracking requests."""

from functools import lru_cache

from headrace.runtime.tracing import Attributes, Span, Tracing
from services.ingest.routes import Route


@lru_cache(maxsize=64)
def described(route: Route) -> tuple[str, Attributes]:
    """The name of a request's span, and what it says before the request is served."""
    attributes = {"http.request.method": route.method, "http.route": route.label, "url.scheme": "http"}
    return f"{route.method} {route.label}", attributes


def serving(tracing: Tracing, route: Route, traceparent: bytes) -> Span:
    """A request's span, which continues the trace that it was sent with."""
    name, attributes = described(route)
    return tracing.serving(name, traceparent.decode("latin-1"), attributes)


def served(span: Span, status: int) -> None:
    """The request of `span` is answered."""
    span.note({"http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))
    span.end()
