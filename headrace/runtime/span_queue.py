"""Spans on their way out: a bounded queue and one thread, so that no receiver can hold the service up."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger()

QUEUE_SPANS = 4_096
BATCH_SPANS = 512
PAUSE_SECONDS = 1.0
FLUSH_SECONDS = 3.0
TELL_SECONDS = 60.0

Count = Callable[[str, int], None]
"""(outcome, how many): `exported`, `failed` (the receiver did not take them), `dropped` (the queue was full)."""


class SpanQueue(SpanProcessor):
    """Hands ended spans to `exporter` in batches. What does not fit is dropped and counted; what the receiver does
    not take, too, and said in the log once a minute. `count` is called from any thread."""

    def __init__(
        self,
        exporter: SpanExporter,
        count: Count,
        *,
        capacity: int = QUEUE_SPANS,
        pause: float = PAUSE_SECONDS,
        flush: float = FLUSH_SECONDS,
    ) -> None:
        self._exporter = exporter
        self._count = count
        self._capacity = capacity
        self._pause = pause
        self._flush = flush
        self._waiting: deque[ReadableSpan] = deque()
        self._news = threading.Event()
        self._closed = False
        self._told = -TELL_SECONDS
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it is said here, and more seldom
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span counts when it is over."""

    def on_end(self, span: ReadableSpan) -> None:
        if self._closed or len(self._waiting) >= self._capacity:
            self._count("dropped", 1)
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH_SPANS:
            self._news.set()

    def shutdown(self) -> None:
        """Send what is waiting, for as long as `flush` seconds; the rest is dropped. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        self._thread.join(self._flush)
        if dropped := len(self._waiting):
            self._waiting.clear()
            self._count("dropped", dropped)
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Ask for what is waiting to be sent now; not waited for."""
        self._news.set()
        return True

    def _run(self) -> None:
        while not self._closed:
            self._news.wait(self._pause)
            self._news.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._waiting:
            batch: list[ReadableSpan] = []
            while self._waiting and len(batch) < BATCH_SPANS:
                batch.append(self._waiting.popleft())
            self._send(batch)

    def _send(self, batch: list[ReadableSpan]) -> None:
        reason = "refused"
        try:
            done = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever it is, the next batch is another try
            done, reason = False, type(error).__name__
        self._count("exported" if done else "failed", len(batch))
        if not done and time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            log.warning("spans_not_exported", spans=len(batch), reason=reason)
