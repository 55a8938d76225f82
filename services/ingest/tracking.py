"""The hot path: tracking requests as raw ASGI, in front of the FastAPI app that serves everything else."""

import time
from collections.abc import Callable
from functools import lru_cache

import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.contracts.errors import ApiError
from headrace.runtime.direct import Answer, Direct
from headrace.runtime.metrics import Metrics
from headrace.runtime.tracing import OFF, Span, Tracing
from services.ingest import cors
from services.ingest.answers import INTERNAL, JSON, SUCCESS, SUCCESS_HEADERS, error_answer
from services.ingest.auth import OriginRefused, Source
from services.ingest.budget import Lease
from services.ingest.clock import parse_sent_at
from services.ingest.collector import Collector, Outcome
from services.ingest.config import TrackingConfig
from services.ingest.direct import DirectTracking
from services.ingest.envelope import Envelope, read_batch, read_import, read_single
from services.ingest.pixel import GIF, event_body
from services.ingest.request import ClientGone, client_ip, query_fields, read_body
from services.ingest.routes import ROUTES, Route, is_public
from services.ingest.serving_spans import served, serving
from services.ingest.table_import import UNREADABLE_ROW, import_table
from services.ingest.uploads import Upload, read_upload, unpacked
from services.ingest.validation import Arrival

log = structlog.get_logger()

_GIF_HEADERS = ((b"content-type", b"image/gif"), (b"cache-control", b"no-store"))


class TrackingApi:
    """ASGI app. `clock` gives milliseconds since the epoch. `rest` serves what is not tracking. `direct`: see
    `headrace.runtime.direct`."""

    def __init__(
        self,
        rest: ASGIApp,
        collector: Collector,
        config: TrackingConfig,
        metrics: Metrics,
        clock: Callable[[], int],
        tracing: Tracing = OFF,
    ) -> None:
        self.rest = rest
        self._collector = collector
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._tracing = tracing
        self.direct = Direct(DirectTracking(collector, config, metrics, clock, tracing).route)
        config.keys.on_change.append(self.direct.forget)
        self._requests = lru_cache(metrics.http_requests.labels)
        self._seconds = lru_cache(metrics.http_seconds.labels)

    @property
    def held_bytes(self) -> int:
        """Request bytes in memory now."""
        return self._config.budget.used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.rest(scope, receive, send)
            return
        path: str = scope["path"]
        route = ROUTES.get(path) or ROUTES.get(path.rstrip("/"))
        if scope["method"] == "OPTIONS" and (route is not None or is_public(path)):
            headers = dict(scope["headers"])
            asked = headers.get(b"access-control-request-headers")
            await _send(send, Answer(204, b"", ()), cors.preflight(headers.get(b"origin"), asked))
        elif route is not None:
            await self._serve(route, scope, receive, send)
        elif is_public(path):
            await self.rest(scope, receive, _with_cors(send, dict(scope["headers"]).get(b"origin")))
        else:
            await self.rest(scope, receive, send)

    async def _serve(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        lease = self._config.budget.lease()
        span = serving(self._tracing, route, headers.get(b"traceparent", b""))
        origin = headers.get(b"origin")
        try:
            answer = await self._answer(route, scope, headers, receive, lease, span)
        except ClientGone:
            span.fail("client_gone")
            span.end()
            return
        except ApiError as error:
            self._metrics.rejected.labels("unknown", error.code).inc()
            answer = error_answer(error)
            if isinstance(error, OriginRefused):
                origin = None  # the page must not read the answer either
        except Exception as error:
            log.error("request_failed", route=route.label, exc_info=error)
            answer = error_answer(INTERNAL)
        finally:
            lease.release()
        await _send(send, answer, cors.actual(origin))
        served(span, answer.status)
        self._requests(route.label, answer.status).inc()
        self._seconds(route.label).observe(time.perf_counter() - started)

    async def _answer(
        self,
        route: Route,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        lease: Lease,
        span: Span,
    ) -> Answer:
        if scope["method"] != route.method:
            refusal = error_answer(ApiError(405, "method_not_allowed", f"Use {route.method} here."))
            allowed = (b"allow", f"{route.method}, OPTIONS".encode())
            return Answer(refusal.status, refusal.body, (*refusal.headers, allowed))
        if route.shape == "metrics":  # the browser SDK's own telemetry, which nobody reads
            return Answer(200, SUCCESS, (JSON,))
        query = query_fields(scope)
        source = self._source_of(scope, headers, query)
        received_at = self._clock()
        limits = self._config.limits
        size = limits.import_bytes if route.shape == "import" else limits.body_bytes
        if route.shape == "pixel":
            body = event_body(query)
        else:
            body = await read_body(receive, headers, size, lease)
        if route.shape == "import":
            body = unpacked(body, size, lease)
            kind = headers.get(b"content-type")
            upload = read_upload(body, kind, query, self._config.mappings, size, lease)
            if upload is not None:
                source = self._demand(source, None, scope, headers)
                if not source.trusted:
                    self._config.rates.take_source(source, 1)
                arrival = self._arrival(route, source, Envelope(()), scope, headers, received_at)
                return await self._take_table(upload, arrival, span)
        envelope = self._read(route, body)
        source = self._demand(source, envelope.write_key, scope, headers)
        if not (route.shape == "import" and source.trusted):  # a history comes all at once
            self._config.rates.take_source(source, len(envelope.items))
        arrival = self._arrival(route, source, envelope, scope, headers, received_at)
        single = route.shape == "single"
        outcome = await self._collector.collect(envelope.items, arrival, span.traceparent, single=single)
        if route.shape == "pixel":
            return Answer(200, GIF, _GIF_HEADERS)
        return Answer(200, _result(outcome), SUCCESS_HEADERS)

    def _source_of(self, scope: Scope, headers: dict[bytes, bytes], query: list[tuple[str, str]]) -> Source | None:
        """What headers and query say; None when only the body can tell. An address is counted here, or there."""
        address = client_ip(scope, self._config.trusted_hops)
        try:
            source = self._config.keys.from_request(
                authorization=headers.get(b"authorization"),
                x_write_key=headers.get(b"x-write-key"),
                query_key=next((value for name, value in query if name == "writeKey"), None),
            )
        except ApiError as error:
            raise self._config.rates.refuse(error, address) from error
        if source is not None:
            self._config.rates.take_address(source, address)
        return source

    def _demand(self, source: Source | None, key: object, scope: Scope, headers: dict[bytes, bytes]) -> Source:
        """The source, by its key in the body where nothing before named one. A page that may not use it takes
        nothing of what the source may send. Raises ApiError."""
        if source is None:
            address = client_ip(scope, self._config.trusted_hops)
            try:
                source = self._config.keys.from_body(key)
            except ApiError as error:
                raise self._config.rates.refuse(error, address) from error
            self._config.rates.take_address(source, address)
        if not source.admits(headers.get(b"origin")):
            raise OriginRefused(source)
        return source

    async def _take_table(self, upload: Upload, arrival: Arrival, span: Span) -> Answer:
        report = await import_table(
            upload, lambda items: self._collector.collect(items, arrival, span.traceparent)
        )
        if report.unreadable:
            self._metrics.rejected.labels(arrival.source.name, UNREADABLE_ROW).inc(report.unreadable)
        return Answer(200, report.answer(), SUCCESS_HEADERS)

    def _read(self, route: Route, body: bytes) -> Envelope:
        if route.shape == "batch":
            return read_batch(body, self._config.limits.batch_events)
        return read_import(body) if route.shape == "import" else read_single(body)

    def _arrival(
        self,
        route: Route,
        source: Source,
        envelope: Envelope,
        scope: Scope,
        headers: dict[bytes, bytes],
        received_at: int,
    ) -> Arrival:
        sent_at = headers.get(b"sentat")
        self._config.keys.note(source)
        # Servers send for others: their own address says nothing about the customer.
        client_side = not source.trusted or b"origin" in headers or route.shape == "pixel"
        imported = route.shape == "import"
        return Arrival(
            source=source,
            received_at=received_at,
            new_message_id=self._collector.message_ids(received_at),
            type=route.type,
            envelope_sent_at=parse_sent_at(envelope.sent_at),
            header_sent_at=None if sent_at is None else parse_sent_at(sent_at.decode("latin-1")),
            imported=imported,
            context=envelope.context,
            integrations=envelope.integrations,
            shared_bytes=envelope.shared_bytes(),
            ip=client_ip(scope, self._config.trusted_hops) if client_side else None,
            limits=self._config.limits.of_import() if imported else self._config.limits,
        )


def _result(outcome: Outcome) -> bytes:
    """SDKs only look at the status; per-event results are for people and for our own clients."""
    if not outcome.rejected:
        return SUCCESS
    rejected = [
        {"index": index, "messageId": message_id, "code": code} for index, message_id, code in outcome.rejected
    ]
    return msgspec.json.encode({"success": True, "accepted": outcome.accepted, "rejected": rejected})


async def _send(send: Send, answer: Answer, more: cors.RawHeaders) -> None:
    headers = [*answer.headers, *more]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _with_cors(send: Send, origin: bytes | None) -> Send:
    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *cors.actual(origin)]
        await send(message)

    return send_with_cors
