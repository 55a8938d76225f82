"""The main job: an event that a shop's server posts becomes an SMS, exactly once."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from segment.analytics.client import Client

from headrace.contracts.headers import TRACEPARENT, header
from headrace.contracts.topics import EVENTS, MESSAGES, PROFILE_EVENTS, SEGMENT_CHANGES
from headrace.log.connect import connect_log
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

DEFINITIONS = """
kind: segment
id: spine-two-orders
name: Two orders
when: {event: {name: Order Completed, where: [{path: properties.shop, eq: spine}], count: {gte: 2}}}
---
kind: template
id: spine-thanks
channel: sms
text: "Thanks, {{ profile.traits.first_name }}!"
---
kind: campaign
id: spine-thanks
name: Thanks
trigger: {segment: spine-two-orders, on: entered}
steps: [{send: {channels: [sms], template: spine-thanks}}]
"""


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file = tmp_path_factory.mktemp("spine") / "definitions.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    api = Api(stack)
    api.headrace("apply", "-f", file, "--wait")
    yield api
    api.close()


@pytest.fixture
def sdk(stack: Stack) -> Iterator[Client]:
    """Segment's own client, told nothing but the address."""
    failures: list[Any] = []
    client = Client(stack.write_key, host=stack.ingest_url, on_error=lambda error, _: failures.append(error))
    yield client
    client.join()
    assert failures == []


def newcomer(sdk: Client, user: str, phone: str) -> None:
    sdk.identify(user, {"first_name": "Ada", "phone": phone})
    sdk.track(user, "Consent Given", {"channel": "sms"})


def order(sdk: Client, user: str, number: str, times: int = 1) -> None:
    for _ in range(times):
        properties = {"order_id": number, "total": 10.5, "currency": "GBP", "shop": "spine"}
        sdk.track(user, "Order Completed", properties, message_id=f"{user}:{number}")
    sdk.flush()


def test_the_second_order_enters_the_segment_and_sends_one_sms(
    api: Api, sdk: Client, record_property: Any
) -> None:
    phone = "+447700900001"
    newcomer(sdk, "spine-ada", phone)
    order(sdk, "spine-ada", "1", times=3)
    profile = wait_until(lambda: api.profile("user_id", "spine-ada"), what="the profile")
    wait_until(lambda: _orders(api, profile["id"]) == 1, what="the first order")
    assert api.members("spine-two-orders").isdisjoint({profile["id"]})
    assert api.sms(phone) == []

    began = time.monotonic()
    order(sdk, "spine-ada", "2", times=3)
    wait_until(lambda: api.sms(phone), what="the SMS")
    seconds = time.monotonic() - began
    record_property("second_order_to_outbox_seconds", round(seconds, 3))
    print(f"second order to outbox: {seconds:.3f} s")

    assert profile["id"] in api.members("spine-two-orders")
    sent = wait_until(lambda: _event(api, profile["id"], "SMS Sent"), what="the outcome on the timeline")
    assert sent["properties"]["campaign_id"] == "spine-thanks"
    assert [message["text"] for message in api.sms(phone)] == ["Thanks, Ada!"]
    assert _orders(api, profile["id"]) == 2
    messages = list(api.items("messenger", "/v1/messages", profile_id=profile["id"]))
    assert [message["status"] for message in messages] == ["accepted"]


def test_without_consent_nothing_is_sent_and_the_reason_is_kept(api: Api, sdk: Client) -> None:
    sdk.identify("spine-bob", {"phone": "+447700900002"})
    order(sdk, "spine-bob", "1")
    order(sdk, "spine-bob", "2")
    profile = wait_until(lambda: api.profile("user_id", "spine-bob"), what="the profile")

    def outcomes() -> list[tuple[str, str | None]]:
        found = api.items("messenger", "/v1/messages", profile_id=profile["id"])
        return [(message["status"], message["reason"]) for message in found]

    wait_until(lambda: outcomes() not in ([], [("pending", None)]), what="the decision")
    assert outcomes() == [("skipped", "no_consent")]
    assert api.sms("+447700900002") == []


async def test_one_trace_leads_from_the_request_to_the_message(api: Api, sdk: Client, stack: Stack) -> None:
    phone = "+447700900003"
    newcomer(sdk, "spine-eve", phone)
    order(sdk, "spine-eve", "1")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    second = {
        "type": "track",
        "userId": "spine-eve",
        "messageId": "spine-eve:2",
        "event": "Order Completed",
        "properties": {"shop": "spine"},
    }
    answer = api.post("/v1/track", second, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert answer.json() == {"success": True}
    wait_until(lambda: api.sms(phone), what="the SMS")
    profile = api.profile("user_id", "spine-eve")
    assert profile is not None
    wait_until(lambda: _event(api, profile["id"], "SMS Sent"), what="the outcome on the timeline")
    names = [stack.topic(topic) for topic in (EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES, MESSAGES)]
    assert await _topics_of_trace(stack.setting("HEADRACE_LOG_URL"), names, trace) == set(names)


def _event(api: Api, profile_id: str, name: str) -> Any:
    return next((item for item in api.timeline(profile_id) if item.get("event") == name), None)


def _orders(api: Api, profile_id: str) -> int:
    return sum(item.get("event") == "Order Completed" for item in api.timeline(profile_id))


async def _topics_of_trace(url: str, topics: list[str], trace: str) -> set[str]:
    log = await connect_log(url, rollback_horizon_ms=600_000)
    try:
        found = await asyncio.gather(*(_has_trace(log, topic, q, trace) for topic in topics for q in range(4)))
    finally:
        await log.close()
    return {topic for topic in found if topic}


async def _has_trace(log: Any, topic: str, partition: int, trace: str) -> str:
    """The topic's name if one of the partition's records belongs to the trace, else nothing."""
    bounds = await log.bounds(topic, partition)
    offset = bounds.begin
    while offset < bounds.end:
        for record in await log.read(topic, partition, offset):
            if trace.encode() in (header(record.headers, TRACEPARENT) or b""):
                return topic
            offset = record.offset + 1
    return ""
