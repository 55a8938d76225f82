"""The AsyncAPI document: every reference leads somewhere, every topic and its parties are there."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.contracts import headers
from headrace.contracts.asyncapi import RECORD_TYPES, asyncapi
from headrace.contracts.schemas import schemas
from headrace.contracts.topics import TOPICS, Topic

DOCUMENT = asyncapi("1.2.3")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def channel_of(topic: Topic) -> dict[str, Any]:
    found = [channel for channel in DOCUMENT["channels"].values() if channel["address"] == topic.name]
    assert len(found) == 1
    return dict(found[0])


def test_root() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"] == "Headrace"
    assert DOCUMENT["info"]["version"] == "1.2.3"
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert set(DOCUMENT) <= allowed


def test_ids_are_as_the_specification_wants_them() -> None:
    ids = [*DOCUMENT["channels"], *DOCUMENT["operations"], *DOCUMENT["components"]["messages"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in ids)


def test_every_reference_resolves() -> None:
    found = list(references(DOCUMENT))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            assert isinstance(resolve(reference), dict), reference
        else:
            name = re.fullmatch(r"\./schemas/([a-z-]+)\.json", reference)
            assert name is not None, reference
            assert name[1] in schemas(), reference


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_a_channel(topic: Topic) -> None:
    channel = channel_of(topic)
    assert topic.description in channel["description"]
    assert topic.key in channel["description"]
    binding = channel["bindings"]["kafka"]
    assert binding["topic"] == topic.name
    assert binding["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]
    assert ("message.timestamp.type" in binding["topicConfiguration"]) == topic.log_append_time


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_has_records_exactly_if_somebody_sends_them(topic: Topic) -> None:
    assert bool(topic.senders) == (topic in RECORD_TYPES) == ("messages" in channel_of(topic))


@pytest.mark.parametrize("topic", RECORD_TYPES, ids=lambda topic: topic.name)
def test_senders_and_receivers_are_operations(topic: Topic) -> None:
    channel_id = topic.name.replace(".", "-")
    parties = {
        (operation["action"], name.split("-", 1)[0])
        for name, operation in DOCUMENT["operations"].items()
        if operation["channel"]["$ref"] == f"#/channels/{channel_id}"
    }
    sends = {("send", service) for service in topic.senders}
    receives = {("receive", group.removeprefix("headrace.")) for group in topic.groups}
    assert parties == sends | receives


def test_an_operations_messages_are_its_channels() -> None:
    for operation in DOCUMENT["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")


@pytest.mark.parametrize("topic", RECORD_TYPES, ids=lambda topic: topic.name)
def test_headers_are_those_that_records_carry(topic: Topic) -> None:
    kind = RECORD_TYPES[topic]
    declared = DOCUMENT["components"]["messages"][kind.schema]["headers"]
    carried = headers.cloud_event(kind="x", event_id="x", source="x", subject="x", traceparent="x")
    if kind.numbered:
        carried += headers.store_output(source="x", epoch=1, seq=1, position="x")
    if kind.schema == "segment-change":
        carried += ((headers.RECEIVED, b"1"),)
    assert set(declared["properties"]) == {name for name, _ in carried}
    assert set(declared["required"]) <= set(declared["properties"])
