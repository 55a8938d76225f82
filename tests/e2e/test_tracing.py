"""One trace from the request to the provider's call, at a receiver of OTLP; and what happens without one."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from headrace.contracts.topics import EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.otlp_receiver import OtlpReceiver, Received, otlp_receiver

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
DEFINITIONS = """
kind: segment
id: seen
name: Seen
when: {event: {name: Seen, count: {gte: 1}}}
---
kind: template
id: seen
channel: sms
text: "hello"
---
kind: campaign
id: seen
name: Seen
purpose: transactional
trigger: {segment: seen, on: entered}
steps: [{send: {channels: [sms], template: seen}}]
"""


@dataclass(frozen=True)
class Traced:
    stack: Stack
    api: Api
    receiver: OtlpReceiver


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    file = tmp_path_factory.mktemp("traced") / "definitions.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    with otlp_receiver() as receiver:
        settings = {
            "HEADRACE_OTLP_ENDPOINT": receiver.url,
            "HEADRACE_OTLP_HEADERS": "x-tenant=shop",
            "HEADRACE_TRACE_RATIO": "0",
            # FastAPI would send spans of its own, with paths and queries
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        }
        with Stack(settings) as stack:
            api = Api(stack)
            api.headrace("apply", "-f", file, "--wait")
            yield Traced(stack, api, receiver)
            api.close()


def see(api: Api, user: str, phone: str, trace: str) -> None:
    """Have somebody enter the segment, by a request of this trace."""
    api.post("/v1/identify", {"userId": user, "traits": {"phone": phone}}).raise_for_status()
    wait_until(lambda: api.profile("user_id", user), what="the customer")
    sampled = f"00-{trace}-{CALLER}-01"
    api.post("/v1/track", {"userId": user, "event": "Seen"}, traceparent=sampled).raise_for_status()


def test_a_trace_goes_from_the_request_to_the_provider(traced: Traced) -> None:
    see(traced.api, "u1", "+420601000001", TRACE)
    events, rows, changes = (traced.stack.topic(topic) for topic in (EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES))
    spans = traced.receiver.wait(
        TRACE,
        {
            "POST /v1/track",
            *(f"send {topic}" for topic in (events, rows, changes)),
            *(f"process {topic}" for topic in (events, rows, changes)),
            "claim sms",
            "deliver sms",
        },
    )
    first = {span.name: span for span in reversed(spans)}
    request, provider = first["POST /v1/track"], first["deliver sms"]
    assert (request.service, request.kind, request.parent) == ("ingest", SERVER, CALLER)
    assert request.attributes["http.response.status_code"] == 200
    assert (provider.service, provider.kind) == ("messenger", CLIENT)
    assert (provider.attributes["headrace.result"], provider.error) == ("accepted", False)
    append, apply = first[f"send {events}"], first[f"process {events}"]
    assert (append.service, append.kind) == ("ingest", PRODUCER)
    assert (apply.service, apply.kind) == ("profiles", CONSUMER)
    assert apply.attributes["messaging.operation.type"] == "process"
    assert apply.attributes["messaging.batch.message_count"] == 1
    assert first[f"process {rows}"].service == "segmenter" or first[f"process {rows}"].service == "messenger"
    known = {span.id for span in spans} | {CALLER}
    assert [span.name for span in spans if span.parent not in known] == []
    assert traced.receiver.headers["x-tenant"] == "shop"


def test_what_is_not_sampled_is_not_sent(traced: Traced) -> None:
    """The share of traces that begin here is 0, and all but the caller's own began here."""
    traced.receiver.wait(TRACE, {"deliver sms"})
    assert {span.trace for span in traced.receiver.spans} <= {TRACE, "1" * 32, "2" * 32}


def test_requests_are_called_by_their_routes(traced: Traced) -> None:
    trace = "1" * 32
    traceparent = {"traceparent": f"00-{trace}-{CALLER}-01"}
    profile = traced.api.get("profiles", "/v1/profiles", query="x")
    assert profile["items"] == []
    url = f"{traced.stack.profiles_url}/v1/profiles/0123?secret=secret"
    traced.api.admin.get(url, headers=traceparent)
    traced.api.admin.get(f"{traced.stack.profiles_url}/metrics", headers=traceparent)
    [span] = traced.receiver.wait(trace, {"GET /v1/profiles/{profile_id}"})
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "http.route": "/v1/profiles/{profile_id}",
        "url.scheme": "http",
    }


def test_nobody_else_sends_spans(traced: Traced) -> None:
    """FastAPI's own telemetry is off, whatever the environment says."""
    traced.receiver.wait("1" * 32, {"GET /v1/profiles/{profile_id}"})
    assert {span.scope for span in traced.receiver.spans} == {"headrace"}
    assert traced.receiver.paths == {"/v1/traces"}


def test_a_receiver_that_fails_disturbs_nothing_and_is_told(traced: Traced) -> None:
    trace = "2" * 32
    traced.receiver.status = 400
    try:
        see(traced.api, "u2", "+420601000002", trace)
        wait_until(lambda: traced.api.sms("+420601000002"), what="the SMS")
        wait_until(lambda: "spans_not_exported" in traced.stack.said(), what="the log to tell")
        wait_until(lambda: _failed(traced), what="ingest to count what it could not hand over")
    finally:
        traced.receiver.status = 200
    assert traced.receiver.of(trace) == []
    assert traced.stack.said().count("spans_not_exported") <= len(traced.stack.pids())


def _failed(traced: Traced) -> bool:
    metrics = traced.api.admin.get(f"{traced.stack.ingest_url}/metrics").text
    return 'headrace_spans_total{outcome="failed"}' in metrics


def test_a_stop_sends_what_is_waiting(traced: Traced) -> None:
    trace = "3" * 32
    sampled = f"00-{trace}-{CALLER}-01"
    traced.api.post("/v1/track", {"userId": "u3", "event": "Other"}, traceparent=sampled).raise_for_status()
    assert traced.stack.stop() == 0
    assert "POST /v1/track" in {span.name for span in traced.receiver.of(trace)}


def test_no_attribute_says_more_than_the_list(traced: Traced) -> None:
    """What may be in a span is a closed list: no path but a route, no id of a customer or a message."""
    assert {name for span in traced.receiver.spans for name in span.attributes} <= {
        *("http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type"),
        *("messaging.system", "messaging.operation.name", "messaging.operation.type"),
        *("messaging.destination.name", "messaging.destination.partition.id", "messaging.batch.message_count"),
        *("headrace.channel", "headrace.messages", "headrace.provider", "headrace.campaign"),
        *("headrace.attempt", "headrace.result"),
    }
    assert all(isinstance(span, Received) and span.seconds >= 0 for span in traced.receiver.spans)


PROBE = """
import importlib, sys
from headrace.runtime.tracing import OFF, open_tracing
for name in ("ingest", "profiles", "segmenter", "messenger"):
    importlib.import_module(f"services.{name}.main")
assert open_tracing("ingest", None) is OFF
ours = ("headrace.runtime.otlp", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
print(sorted(name for name in sys.modules if name.startswith(ours)))
"""


def test_without_an_endpoint_the_sdk_is_not_loaded() -> None:
    """FastAPI loads OpenTelemetry's API and redis-py what the SDK has for metrics, whatever we do; what records
    and sends spans stays away."""
    done = subprocess.run((sys.executable, "-c", PROBE), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
