"""The AsyncAPI 3.0 document: every topic, what its records are, who sends and who receives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.contracts import headers, topics
from headrace.contracts.topics import Topic

Document = dict[str, Any]

KAFKA_BINDING = "0.5.0"
PARTITIONS_ON_KAFKA = 24


@dataclass(frozen=True, slots=True)
class RecordType:
    """What a topic's records are: the schema of their value (file name under docs/schemas), what `ce_type` may
    be (a regular expression after `io.headrace.`), and whether a store numbers them (headrace-* headers)."""

    schema: str
    title: str
    summary: str
    ce_type: str
    numbered: bool = False


RECORD_TYPES: Mapping[Topic, RecordType] = {
    topics.EVENTS: RecordType("event", "Event", "An event as collected, validated.", r"event\.collected\.v1"),
    topics.PROFILE_EVENTS: RecordType(
        "profile-event",
        "Profile event",
        "A row of a customer's timeline (event, merge, tombstone, unmerge, split, erasure, control) or a "
        "tick, told by `kind`. A tick has no key and repeats the number of the row it follows.",
        r"profile\.[a-z]+\.v1",
        numbered=True,
    ),
    topics.SEGMENT_CHANGES: RecordType(
        "segment-change",
        "Segment change",
        "A customer entered or exited a segment. A superset of Segment's Audience Entered and Audience Exited; "
        "dedupe on messageId.",
        r"segment\.(entered|exited)\.v1",
        numbered=True,
    ),
    topics.SEGMENT_MEMBERSHIPS: RecordType(
        "segment-membership",
        "Segment membership",
        "A customer is in a segment. A record without a value (a tombstone) says that it is no more. The last "
        "record of a key holds; some come twice. Partitioned by profile_id, not by the key.",
        r"segment\.membership\.v1",
    ),
    topics.COMPUTED_TRAITS: RecordType(
        "computed-trait",
        "Computed trait",
        "A customer's computed trait has another value; null says that there is none any more. A superset of "
        "Segment's identify call; dedupe on messageId.",
        r"trait\.computed\.v1",
        numbered=True,
    ),
    topics.MESSAGES: RecordType(
        "message-outcome",
        "Message outcome",
        "What became of one message, or what the messenger tells about a customer, told by `kind`; dedupe on "
        "message_id.",
        r"(message\.[a-z]+|customer\.update)\.v1",
        numbered=True,
    ),
    topics.PROVIDER_CALLBACKS: RecordType(
        "provider-callback",
        "Provider callback",
        "What a messaging provider called ingest with, verified, as received.",
        r"provider\.callback\.v1",
    ),
    topics.DEAD_LETTERS: RecordType(
        "dead-letter", "Dead letter", "What could not be processed, whole, and why.", r"dead-letter\.v1"
    ),
}


def asyncapi(version: str) -> Document:
    """The document. Payloads refer to the JSON Schemas beside it; a topic that nobody sends yet has no
    record type and stands as a bare channel."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace",
            "version": version,
            "description": "The partitioned log of a Headrace deployment. Topic names take the deployment's "
            "prefix (HEADRACE_TOPIC_PREFIX). All topics have the same number of partitions; a record's partition "
            "is BLAKE2b-64 of its key's UTF-8 bytes, big-endian, modulo that number. Values are JSON, headers "
            "follow the CloudEvents 1.0 Kafka protocol binding (binary mode) and W3C Trace Context.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in topics.TOPICS},
        "operations": _operations(),
        "components": {
            "messages": {kind.schema: _message(topic, kind) for topic, kind in RECORD_TYPES.items()},
        },
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.replace(".", "-")


def _channel(topic: Topic) -> Document:
    time = " Times are the broker's (LogAppendTime)." if topic.log_append_time else ""
    only = " On Kafka only." if topic.kafka_only else ""
    unused = "" if topic.senders else " No service sends it yet."
    channel: Document = {
        "address": topic.name,
        "description": f"{topic.description} Key: {topic.key}. Cleanup: {topic.cleanup}.{time}{only}{unused}",
    }
    if (kind := RECORD_TYPES.get(topic)) is not None:
        channel["messages"] = {kind.schema: {"$ref": f"#/components/messages/{kind.schema}"}}
    channel["bindings"] = {
        "kafka": {
            "topic": topic.name,
            "partitions": PARTITIONS_ON_KAFKA,
            "topicConfiguration": _topic_configuration(topic),
            "bindingVersion": KAFKA_BINDING,
        }
    }
    return channel


def _topic_configuration(topic: Topic) -> Document:
    configuration: Document = {"cleanup.policy": [topic.cleanup]}
    if topic.log_append_time:
        configuration["message.timestamp.type"] = "LogAppendTime"
    return configuration


def _message(topic: Topic, kind: RecordType) -> Document:
    return {
        "name": kind.schema,
        "title": kind.title,
        "summary": kind.summary,
        "contentType": "application/json",
        "headers": _headers(kind),
        "payload": {"$ref": f"./schemas/{kind.schema}.json"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": KAFKA_BINDING}
        },
    }


def _headers(kind: RecordType) -> Document:
    text = {"type": "string"}
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    properties: Document = {
        "ce_specversion": {"const": "1.0"},
        "ce_type": {"type": "string", "pattern": rf"^io\.headrace\.{kind.ce_type}$"},
        "ce_source": {"type": "string", "pattern": "^headrace/"},
        "ce_id": text,
        "ce_subject": text,
        headers.CONTENT_TYPE[0]: {"const": headers.CONTENT_TYPE[1].decode()},
        headers.TRACEPARENT: {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    }
    if kind.numbered:
        properties |= {
            headers.SOURCE: text,
            headers.EPOCH: digits,
            headers.SEQ: {**digits, "description": "Dense within (topic, partition) and epoch, from 1."},
            headers.POSITION: {**text, "description": "What the record stands for in its store; never an offset."},
        }
    required = ["ce_specversion", "ce_type", "ce_source", "ce_id", headers.CONTENT_TYPE[0]]
    return {"type": "object", "properties": properties, "required": required}


def _operations() -> Document:
    operations: Document = {}
    for topic in topics.TOPICS:
        for service in topic.senders:
            operations[f"{service}-sends-{_channel_id(topic)}"] = _operation("send", topic, service)
        for group in topic.groups if topic.senders else ():
            service = group.removeprefix("headrace.")
            operations[f"{service}-receives-{_channel_id(topic)}"] = {
                **_operation("receive", topic, service),
                "bindings": {
                    "kafka": {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": KAFKA_BINDING}
                },
            }
    return operations


def _operation(action: str, topic: Topic, service: str) -> Document:
    channel = _channel_id(topic)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"{service} {action}s {topic.name}.",
        "messages": _message_refs(channel, RECORD_TYPES[topic]),
    }


def _message_refs(channel: str, kind: RecordType) -> Sequence[Document]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind.schema}"}]
