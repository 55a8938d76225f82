"""Every record that the running platform puts on the log is as the published schemas and AsyncAPI say."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from headrace.contracts import topics
from headrace.contracts.asyncapi import RECORD_TYPES, asyncapi
from headrace.contracts.schemas import schemas
from headrace.contracts.topics import Topic
from headrace.log.connect import connect_log
from headrace.log.port import Log, Record, UnknownTopic
from headrace.log.topics import has_topic
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

PARTITIONS = 4
SCENARIO: Sequence[tuple[str, dict[str, Any]]] = (
    ("identify", {"userId": "wire-1", "traits": {"first_name": "Wanda", "phone": "+420601999111"}}),
    ("track", {"userId": "wire-1", "event": "Consent Given", "properties": {"channel": "sms"}}),
    ("track", {"userId": "wire-1", "event": "Wire Checked"}),
    ("batch", {"batch": [{"type": "track", "userId": "wire-1"}]}),  # without a name: a dead letter
)
SEGMENT = {
    "kind": "segment",
    "id": "wire-checked",
    "name": "Wire checked",
    "when": {"event": {"name": "Wire Checked"}},
}
TRAIT = {
    "kind": "trait",
    "id": "wire_checks",
    "name": "Wire checks",
    "value": {"event": {"name": "Wire Checked", "count": {}}},
}
TEMPLATE = {"kind": "template", "id": "wire-checked", "channel": "sms", "text": "Hello"}
CAMPAIGN = {
    "kind": "campaign",
    "id": "wire-checked",
    "name": "Wire checked",
    "trigger": {"segment": "wire-checked", "on": "entered"},
    "steps": [{"send": {"channels": ["sms"], "template": "wire-checked"}}],
}


@pytest.fixture(scope="module")
def played(stack: Stack) -> Stack:
    """The stack after a customer went all the way, from an event to a message, and an item was refused."""
    with httpx.Client(timeout=10, headers={"Authorization": f"Bearer {stack.admin_token}"}) as admin:
        trait = f"{stack.segmenter_url}/v1/traits/wire_checks"
        admin.put(trait, json=TRAIT).raise_for_status()
        wait_until(lambda: admin.get(trait).json()["status"] == "live", what="the computed trait is live")
        segment = f"{stack.segmenter_url}/v1/segments/wire-checked"
        admin.put(segment, json=SEGMENT).raise_for_status()
        wait_until(lambda: admin.get(segment).json()["status"] == "live", what="the segment is live")
        admin.put(f"{stack.messenger_url}/v1/templates/wire-checked", json=TEMPLATE).raise_for_status()
        admin.put(f"{stack.messenger_url}/v1/campaigns/wire-checked", json=CAMPAIGN).raise_for_status()
        for call, body in SCENARIO:
            address = f"{stack.ingest_url}/v1/{call}"
            httpx.post(address, json=body, auth=(stack.write_key, ""), timeout=10).raise_for_status()
        hook = f"{stack.ingest_url}/v1/hooks/email?token=hook-token"
        httpx.post(hook, content=b"Subject: not a report", timeout=10).raise_for_status()
        messages = f"{stack.messenger_url}/v1/messages?campaign_id=wire-checked&status=accepted"
        wait_until(lambda: admin.get(messages).json()["items"], what="the message is accepted")
    return stack


def records_of(stack: Stack, topic: Topic) -> list[Record]:
    return asyncio.run(_read_all(stack.setting("HEADRACE_LOG_URL"), stack.topic(topic)))


async def _read_all(url: str, topic: str) -> list[Record]:
    log = await connect_log(url, rollback_horizon_ms=600_000)
    try:
        parts = [await _read_partition(log, topic, partition) for partition in range(PARTITIONS)]
    finally:
        await log.close()
    return [record for part in parts for record in part]


async def _read_partition(log: Log, topic: str, partition: int) -> Sequence[Record]:
    bounds = await log.bounds(topic, partition)
    found: list[Record] = []
    offset = bounds.begin
    while offset < bounds.end:
        batch = await log.read(topic, partition, offset)
        if not batch:
            break
        found += batch
        offset = batch[-1].offset + 1
    return found


@pytest.mark.parametrize("topic", RECORD_TYPES, ids=lambda topic: topic.name)
def test_records_are_as_published(topic: Topic, played: Stack) -> None:
    name = RECORD_TYPES[topic].schema
    headers_schema = asyncapi("")["components"]["messages"][name]["headers"]
    headers, value = Draft202012Validator(headers_schema), Draft202012Validator(schemas()[name])
    if not has_topic(played.setting("HEADRACE_LOG_URL"), topic):
        with pytest.raises(UnknownTopic):
            records_of(played, topic)
        return
    records = wait_until(lambda: records_of(played, topic), what=f"records on {topic.name}")
    for record in records:
        given = {key: raw.decode() for key, raw in record.headers}
        headers.validate(given)
        assert set(given) <= set(headers_schema["properties"])
        if record.value is None:
            assert topic.cleanup == "compact", "a record without a value takes the one before it back"
            continue
        value.validate(json.loads(record.value))


def test_the_customer_s_record_has_the_computed_trait(played: Stack) -> None:
    address = f"{played.profiles_url}/v1/profiles/lookup?type=user_id&value=wire-1"
    headers = {"Authorization": f"Bearer {played.admin_token}"}

    def computed() -> bool:
        return bool(httpx.get(address, headers=headers, timeout=10).json().get("computed") == {"wire_checks": 1})

    wait_until(computed, what="the computed trait is in the profile")


def test_a_record_lies_in_its_keys_partition(played: Stack) -> None:
    for topic in (
        topics.EVENTS,
        topics.PROFILE_EVENTS,
        topics.SEGMENT_CHANGES,
        topics.COMPUTED_TRAITS,
        topics.MESSAGES,
    ):
        for record in records_of(played, topic):
            if record.key is not None:
                assert topics.partition_of(record.key.decode(), PARTITIONS) == record.partition
