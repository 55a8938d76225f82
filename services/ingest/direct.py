"""Single events of the usual kind, taken in as soon as their request is there: no ASGI, no task, no dead letter.

Whatever is not plainly an accepted event is left to `TrackingApi`, which has the say on it.
"""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache

import structlog

from headrace.contracts.errors import ApiError
from headrace.runtime.direct import Answer, Answered, Client, Head, Start
from headrace.runtime.metrics import Metrics
from headrace.runtime.tracing import OFF, Span, Tracing, continue_trace
from services.ingest import cors
from services.ingest.answers import INTERNAL, SUCCESS, SUCCESS_HEADERS, error_answer
from services.ingest.auth import Source
from services.ingest.clock import parse_sent_at
from services.ingest.collector import Collector
from services.ingest.config import TrackingConfig
from services.ingest.envelope import read_single
from services.ingest.request import client_ip
from services.ingest.routes import ROUTES, Route
from services.ingest.serving_spans import described, served
from services.ingest.usual import Usual, UsualReader
from services.ingest.validation import Arrival

log = structlog.get_logger()

_STOPPED = Answer(500, b"Internal Server Error", ((b"content-type", b"text/plain; charset=utf-8"),))
"""As uvicorn answers a request whose task it has ended."""


class DirectTracking:
    """Chooses by their heads the requests to serve. `clock` gives milliseconds since the epoch."""

    def __init__(
        self,
        collector: Collector,
        config: TrackingConfig,
        metrics: Metrics,
        clock: Callable[[], int],
        tracing: Tracing = OFF,
    ) -> None:
        self.collector = collector
        self.config = config
        self.metrics = metrics
        self.clock = clock
        self.tracing = tracing
        # not bound before there is something to count: a series of nothing would show up
        self.requests = lru_cache(metrics.http_requests.labels)
        self.seconds = lru_cache(metrics.http_seconds.labels)

    def route(self, head: Head) -> Start | None:
        """What serves requests with this head, if they may be usual."""
        route = ROUTES.get(head.target.decode("latin-1"))
        headers = dict(head.headers)
        if route is None or route.shape != "single" or b"content-encoding" in headers:
            return None
        try:
            source = self.config.keys.from_request(
                authorization=headers.get(b"authorization"),
                x_write_key=headers.get(b"x-write-key"),
                query_key=None,
            )
        except ApiError:
            return None
        origin = headers.get(b"origin")
        if not (origin or b"").decode("latin-1").isprintable() or not (source is None or source.admits(origin)):
            return None
        return _Sender(self, route, head, source).start


class _Sender:
    """All requests with one head."""

    def __init__(self, service: DirectTracking, route: Route, head: Head, source: Source | None) -> None:
        headers = dict(head.headers)
        self._service = service
        self._collector = service.collector
        self._config = service.config
        self._type = route.type
        self._source = source
        self._headers = head.headers
        self._origin = headers.get(b"origin")
        self._is_page = b"origin" in headers
        self._sent_at = parse_sent_at(headers.get(b"sentat", b"").decode("latin-1"))
        self._traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        self._cors = cors.actual(headers.get(b"origin"))
        self._success = Answer(200, SUCCESS, (*SUCCESS_HEADERS, *self._cors))
        self._label = route.label
        self._span_name, self._span_attributes = described(route)

    def start(self, body: bytes, client: Client | None, answered: Answered) -> "asyncio.Future[None] | None":
        """See `headrace.runtime.direct.Start`."""
        started = time.perf_counter()
        limits, budget = self._config.limits, self._config.budget
        size = len(body)
        if size > limits.body_bytes or budget.used + size > budget.capacity:
            return None
        source = self._source or self._source_of(body)
        if source is None:
            return None
        arrival = self._arrival(source, client)
        usual = UsualReader(arrival).read(body)
        if usual is None:
            return None
        plan = self._collector.plans.get(source.name)
        if plan is not None and plan.verdict(usual.value) is not None:
            return None
        if self._is_too_much(arrival):
            return None

        def end(future: "asyncio.Future[None]") -> None:
            budget.used -= size
            answer = self._answer(future, source, usual)
            if answer is not None:
                answered(answer)
                self._service.requests(self._label, answer.status).inc()
                self._service.seconds(self._label).observe(time.perf_counter() - started)
            else:
                answered(_STOPPED)
            if span is not None:
                served(span, (answer or _STOPPED).status)

        span = self._span()
        budget.used += size
        future = self._collector.submit(
            usual, source.name, span.traceparent if span else continue_trace(self._traceparent)
        )
        future.add_done_callback(end)
        return future

    def _span(self) -> Span | None:
        """None without tracing, so that it costs nothing."""
        tracing = self._service.tracing
        return tracing.serving(self._span_name, self._traceparent, self._span_attributes) if tracing.on else None

    def _is_too_much(self, arrival: Arrival) -> bool:
        """Counts the request; what is too much is for the ordinary way to answer."""
        rates, source = self._config.rates, arrival.source
        return bool(rates.address_wait(source, arrival.ip) or rates.source_wait(source, 1))

    def _arrival(self, source: Source, client: Client | None) -> Arrival:
        received_at = self._service.clock()
        self._config.keys.note(source)
        ip = None
        if self._is_page or not source.trusted:
            ip = client_ip({"headers": self._headers, "client": client}, self._config.trusted_hops)
        return Arrival(
            source=source,
            received_at=received_at,
            new_message_id=self._collector.message_ids(received_at),
            type=self._type,
            header_sent_at=self._sent_at,
            ip=ip,
            limits=self._config.limits,
        )

    def _source_of(self, body: bytes) -> Source | None:
        try:
            source = self._config.keys.from_body(read_single(body).write_key)
        except ApiError:
            return None
        return source if source.admits(self._origin) else None

    def _answer(self, future: "asyncio.Future[None]", source: Source, usual: Usual) -> Answer | None:
        """None when the server was stopped meanwhile."""
        try:
            self._collector.acknowledge(future, usual, source.name)
        except asyncio.CancelledError:
            return None
        except ApiError as error:
            self._service.metrics.rejected.labels("unknown", error.code).inc()
            answer = error_answer(error)
        except Exception as error:
            log.error("request_failed", route=self._label, exc_info=error)
            answer = error_answer(INTERNAL)
        else:
            return self._success
        return Answer(answer.status, answer.body, (*answer.headers, *self._cors))
