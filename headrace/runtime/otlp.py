"""Spans by OpenTelemetry's SDK, to an OTLP receiver over HTTP. Loaded only when an endpoint is set.

Names and attributes follow the semantic conventions (https://opentelemetry.io/docs/specs/semconv/, messaging and
HTTP), apart from what may name people: `url.path`, `url.query`, `client.address`, `messaging.message.id` and an
exception's message are left out.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

import headrace
from headrace.contracts.headers import TRACEPARENT, TRACEPARENT_FORM
from headrace.runtime.metrics import Metrics
from headrace.runtime.span_queue import SpanQueue
from headrace.runtime.tracing import NO_SPAN, Attributes, Carrier, Kind, Span, Tracing, continue_trace
from headrace.runtime.tracing_settings import TracingSettings

MAX_LINKS = 32
EXPORT_SECONDS = 5.0

_SAMPLED = frozenset(bytes([digit]) for digit in b"13579bdf")
_KINDS = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}


def record(service: str, settings: TracingSettings, log_url: str) -> "Recorder":
    """Spans of `service`, sent to `settings.endpoint`."""
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, headers=dict(settings.headers), timeout=EXPORT_SECONDS)
    system = "kafka" if log_url.startswith("kafka") else "redis"
    return Recorder(service, exporter, ratio=settings.ratio, system=system)


class RecordedSpan(Span):
    """A span that is sent when it has ended."""

    __slots__ = ("_span",)

    def __init__(self, span: OtelSpan) -> None:
        context = span.get_span_context()
        super().__init__(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
        self._span = span

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, name: str | None = None) -> None:
        if self._span.is_recording():
            if name is not None:
                self._span.update_name(name)
            self._span.end()


class Recorder(Tracing):
    """Records what is sampled: traces that begin here by `ratio`, others as their traceparent says. `system` is
    the log's, in the words of the conventions; `chance` gives numbers from 0 to 1."""

    on = True

    def __init__(
        self,
        service: str,
        exporter: SpanExporter,
        *,
        ratio: float,
        system: str,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ratio = ratio
        self._system = system
        self._chance = chance
        self._metrics: Metrics | None = None
        resource = Resource.create(
            {"service.name": service, "service.namespace": "headrace", "service.version": headrace.__version__}
        )
        limits = SpanLimits(max_links=MAX_LINKS, max_span_attribute_length=200)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, span_limits=limits, shutdown_on_exit=False
        )
        self._provider.add_span_processor(SpanQueue(exporter, self._count))
        self._tracer = self._provider.get_tracer("headrace", headrace.__version__)

    def serving(self, name: str, traceparent: str | None, attributes: Attributes) -> Span:
        parent = _context(traceparent)
        if parent is None and self._chance() >= self._ratio:
            return Span(continue_trace(None, sampled=False))
        if parent is not None and not parent.trace_flags.sampled:
            return Span(continue_trace(traceparent))
        return self._start(name, "server", parent, (), attributes, None)

    def consuming(self, topic: str, partition: int, records: Sequence[Carrier]) -> Span:
        return self._batch("process", "consumer", topic, partition, records)

    def producing(self, topic: str, partition: int, records: Sequence[Carrier]) -> Span:
        return self._batch("send", "producer", topic, partition, records)

    def following(
        self,
        name: str,
        kind: Kind,
        traceparents: Iterable[str | None],
        attributes: Attributes,
        *,
        began: int | None = None,
    ) -> Span:
        found = list(islice(_sampled(traceparents), MAX_LINKS + 1))
        if not found:
            return NO_SPAN
        return self._start(name, kind, found[0], found[1:], attributes, began)

    def count_in(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def close(self) -> None:
        await asyncio.to_thread(self._provider.shutdown)

    def _batch(self, operation: str, kind: Kind, topic: str, partition: int, records: Sequence[Carrier]) -> Span:
        attributes: Attributes = {
            "messaging.system": self._system,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.batch.message_count": len(records),
        }
        return self.following(f"{operation} {topic}", kind, _carried(records), attributes)

    def _start(
        self,
        name: str,
        kind: Kind,
        parent: SpanContext | None,
        others: Sequence[SpanContext],
        attributes: Attributes,
        began: int | None,
    ) -> Span:
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
        links = [Link(other) for other in others]
        span = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            links,
            began,
            record_exception=False,
            set_status_on_exception=False,
        )
        if not span.is_recording():  # OTEL_SDK_DISABLED
            return Span(continue_trace(None, sampled=False))
        return RecordedSpan(span)

    def _count(self, outcome: str, number: int) -> None:
        if self._metrics is not None:
            self._metrics.spans.labels(outcome).inc(number)


def _carried(records: Sequence[Carrier]) -> Iterator[str]:
    """The traceparents of these records that say sampled, by their last digit: most do not, and there are many."""
    for record in records:
        for name, raw in record.headers:
            if name == TRACEPARENT and raw[-1:] in _SAMPLED:
                yield raw.decode("latin-1")


def _context(traceparent: str | None) -> SpanContext | None:
    match = TRACEPARENT_FORM.fullmatch(traceparent or "")
    if match is None:
        return None
    context = SpanContext(int(match[1], 16), int(match[2], 16), True, TraceFlags(int(match[3], 16)))
    return context if context.is_valid else None


def _sampled(traceparents: Iterable[str | None]) -> Iterator[SpanContext]:
    """Those that somebody records, each once."""
    seen = set()
    for traceparent in traceparents:
        if traceparent not in seen and (context := _context(traceparent)) and context.trace_flags.sampled:
            seen.add(traceparent)
            yield context
