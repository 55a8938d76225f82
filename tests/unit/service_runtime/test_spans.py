"""Spans: which are recorded, what they say, and that no receiver can hold anybody up."""

import asyncio
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from headrace.contracts.errors import SettingsError
from headrace.contracts.headers import cloud_event
from headrace.log.port import NewRecord
from headrace.runtime import otlp
from headrace.runtime.metrics import Metrics
from headrace.runtime.span_queue import SpanQueue
from headrace.runtime.tracing import NO_SPAN, OFF, open_tracing
from headrace.runtime.tracing_settings import TracingSettings, tracing_settings
from tests.otlp_receiver import OtlpReceiver, otlp_receiver

TRACES = ["a" * 32, "b" * 32, "c" * 32]
WORDS = "eva.canary@example.com"


def traceparent(trace: str, *, sampled: bool = True, span: str = "1" * 16) -> str:
    return f"00-{trace}-{span}-{sampled:02x}"


def record(trace: str, *, sampled: bool = True) -> NewRecord:
    carried = traceparent(trace, sampled=sampled)
    return NewRecord(b"k", b"{}", cloud_event(kind="x", event_id="1", source="test", traceparent=carried))


class Held(SpanExporter):
    """Keeps what it is given; hangs while `open` is not set, and then answers or raises as it is told."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.answer: SpanExportResult | Exception = SpanExportResult.SUCCESS
        self.batches: list[Sequence[ReadableSpan]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.reached.set()
        self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        self.batches.append(spans)
        return self.answer

    def shutdown(self) -> None:
        """What hangs hangs on: its thread is no obstacle to the process' end."""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


def recorder(receiver: OtlpReceiver, *, ratio: float = 1.0) -> otlp.Recorder:
    settings = tracing_settings(receiver.url, "", str(ratio))
    opened = open_tracing("profiles", settings, log_url="kafka://k:9092")
    assert isinstance(opened, otlp.Recorder)
    return opened


async def test_a_batch_is_a_child_of_its_first_sampled_record_and_linked_to_the_others(
    receiver: OtlpReceiver,
) -> None:
    tracing = recorder(receiver)
    batch = [record("d" * 32, sampled=False), *map(record, TRACES), record(TRACES[1]), NewRecord(b"k", b"{}")]
    with tracing.consuming("events", 3, batch):
        pass_on = [one.key for one in batch]
    await tracing.close()
    [span] = receiver.spans
    assert len(pass_on) == span.attributes["messaging.batch.message_count"]
    assert (span.name, span.service, span.trace, span.parent) == (
        "process events",
        "profiles",
        TRACES[0],
        "1" * 16,
    )
    assert list(span.links) == TRACES[1:]
    assert span.attributes["messaging.system"] == "kafka"
    assert span.attributes["messaging.destination.partition.id"] == "3"


async def test_a_large_batch_has_one_span_and_a_bounded_number_of_links(receiver: OtlpReceiver) -> None:
    tracing = recorder(receiver)
    tracing.producing("events", 0, [record(f"{number:032x}") for number in range(1, 501)]).end()
    await tracing.close()
    [span] = receiver.spans
    assert len(span.links) == otlp.MAX_LINKS


async def test_a_batch_in_which_nothing_is_sampled_has_no_span(receiver: OtlpReceiver) -> None:
    tracing = recorder(receiver)
    forged = NewRecord(b"k", b"{}", (("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),))
    assert tracing.consuming("events", 0, [record(TRACES[0], sampled=False), forged]) is NO_SPAN
    assert tracing.consuming("events", 0, []) is NO_SPAN
    await tracing.close()
    assert receiver.spans == []


async def test_a_caller_decides_about_its_trace_and_the_ratio_about_new_ones(receiver: OtlpReceiver) -> None:
    tracing = recorder(receiver, ratio=0.0)
    ours, theirs = traceparent(TRACES[0]), traceparent(TRACES[1], sampled=False)
    recorded = tracing.serving("POST /x", ours, {})
    recorded.end()
    unsampled = [tracing.serving("POST /x", sent, {}) for sent in (theirs, None, "nonsense")]
    await tracing.close()
    [span] = receiver.spans
    assert recorded.traceparent == f"00-{TRACES[0]}-{span.id}-01"
    assert unsampled[0].traceparent.startswith(f"00-{TRACES[1]}-")
    assert [one.traceparent[-3:] for one in unsampled] == ["-00", "-00", "-00"]


async def test_a_new_trace_is_recorded_as_often_as_the_ratio_says() -> None:
    numbers = iter([0.1, 0.24, 0.25, 0.9])
    tracing = otlp.Recorder("x", Held(), ratio=0.25, system="redis", chance=lambda: next(numbers))
    made = [tracing.serving("GET", None, {}) for _ in range(4)]
    assert [int(one.traceparent[-2:], 16) & 1 for one in made] == [1, 1, 0, 0]
    await tracing.close()


async def test_an_error_is_told_by_its_type_alone(receiver: OtlpReceiver) -> None:
    tracing = recorder(receiver)
    with pytest.raises(ValueError, match=WORDS), tracing.consuming("events", 0, [record(TRACES[0])]):
        raise ValueError(WORDS)
    await tracing.close()
    [span] = receiver.spans
    assert (span.error, span.attributes["error.type"]) == (True, "ValueError")
    assert all(WORDS.encode() not in body for body in receiver.bodies)


async def test_what_has_begun_before_it_was_known_has_its_time(receiver: OtlpReceiver) -> None:
    tracing = recorder(receiver)
    tracing.following("claim sms", "internal", [None, traceparent(TRACES[0])], {}, began=1_000).end()
    await tracing.close()
    assert receiver.spans[0].seconds > 1_000_000


async def test_a_full_queue_drops_and_counts_and_waits_for_nobody() -> None:
    exporter, counted = Held(), Counts()
    exporter.open.clear()
    queue = SpanQueue(exporter, counted, capacity=5, pause=0.001, flush=0.01)
    ended = spans(12)
    queue.on_end(ended[0])
    assert exporter.reached.wait(5)
    for span in ended[1:]:
        queue.on_end(span)
    assert counted.of("dropped") == 6
    await asyncio.to_thread(queue.shutdown)
    assert counted.of("dropped") == 11, "what was not sent by the end is dropped"
    exporter.open.set()


async def test_a_receiver_that_fails_is_counted_and_tried_again() -> None:
    exporter, counted = Held(), Counts()
    exporter.answer = ConnectionError(WORDS)
    queue = SpanQueue(exporter, counted, pause=0.001)
    [first, second] = spans(2)
    queue.on_end(first)
    assert counted.reached("failed", 1)
    exporter.answer = SpanExportResult.SUCCESS
    queue.on_end(second)
    await asyncio.to_thread(queue.shutdown)
    assert (counted.of("failed"), counted.of("exported"), counted.of("dropped")) == (1, 1, 0)


async def test_counts_are_metrics(receiver: OtlpReceiver) -> None:
    tracing, metrics = recorder(receiver), Metrics("profiles")
    tracing.count_in(metrics)
    tracing.serving("GET", None, {}).end()
    await tracing.close()
    await tracing.close()
    assert metrics.registry.get_sample_value("headrace_spans_total", {"outcome": "exported"}) == 1


def test_without_an_endpoint_nothing_is_recorded() -> None:
    assert tracing_settings(None, "", "0.5") is None
    assert open_tracing("profiles", None) is OFF
    assert OFF.consuming("events", 0, [record(TRACES[0])]) is NO_SPAN
    assert OFF.serving("GET", traceparent(TRACES[0]), {}).traceparent.startswith(f"00-{TRACES[0]}-")


def test_settings_are_read() -> None:
    read = tracing_settings("https://collector:4318/", "authorization=Bearer a=b, X-Tenant=t", "1")
    headers = {"authorization": "Bearer a=b", "x-tenant": "t"}
    assert read == TracingSettings("https://collector:4318/v1/traces", 1.0, headers)
    assert "Bearer" not in repr(read)


@pytest.mark.parametrize(
    ("endpoint", "headers", "ratio", "named"),
    [
        ("collector:4318", "", "1", "HEADRACE_OTLP_ENDPOINT"),
        ("http://user:secret@collector:4318", "", "1", "HEADRACE_OTLP_ENDPOINT"),
        ("http://collector:4318?token=secret", "", "1", "HEADRACE_OTLP_ENDPOINT"),
        ("http://collector:4318", "secret", "1", "HEADRACE_OTLP_HEADERS"),
        ("http://collector:4318", "a=secret\n", "1.1", "HEADRACE_TRACE_RATIO"),
        ("http://collector:4318", "", "half", "HEADRACE_TRACE_RATIO"),
    ],
)
def test_a_wrong_setting_is_named_and_not_quoted(endpoint: str, headers: str, ratio: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        tracing_settings(endpoint, headers, ratio)
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headrace.runtime.otlp", None)
    with pytest.raises(SettingsError, match=r"install headrace\[tracing\]"):
        open_tracing("profiles", tracing_settings("http://collector:4318", "", "1"))


class Counts:
    """What was counted, from any thread."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._news = threading.Condition()

    def __call__(self, outcome: str, number: int) -> None:
        with self._news:
            self._numbers[outcome] = self.of(outcome) + number
            self._news.notify_all()

    def of(self, outcome: str) -> int:
        return self._numbers.get(outcome, 0)

    def reached(self, outcome: str, number: int) -> bool:
        with self._news:
            return self._news.wait_for(lambda: self.of(outcome) >= number, 5)


def spans(count: int) -> list[ReadableSpan]:
    return [ReadableSpan(f"span-{number}") for number in range(count)]
