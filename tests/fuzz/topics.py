"""Doors four and five: records on the topics themselves, and what providers call with. A record that cannot be
read becomes a dead letter, and its partition goes on."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from urllib.parse import urlencode

import httpx
import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.headers import Headers, cloud_event
from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.topics import (
    DEAD_LETTERS,
    EVENTS,
    MESSAGES,
    PROFILE_EVENTS,
    PROVIDER_CALLBACKS,
    SEGMENT_CHANGES,
    Topic,
)
from headrace.log.connect import connect_log
from headrace.log.port import NewRecord
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.fuzz.findings import Run
from tests.fuzz.good import records
from tests.fuzz.mutation import mutated_bytes
from tests.fuzz.planted import SEGMENT

_UNREADABLE = (
    b"",
    b"\0",
    b"\xff\xfe{}",
    b"[]",
    b"null",
    b"7",
    b'"x"',
    b"{",
    b"{}",
    b"[" * 5_000,
    b'{"a":' * 2_000,
)
_HEARD: Sequence[Topic] = (EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES, MESSAGES, PROVIDER_CALLBACKS)
Place = tuple[str, int, int]
"""Topic, partition, offset."""
_OURS = "s" + "0" * 32
BODIES: Mapping[str, bytes] = {
    "twilio": urlencode({"MessageSid": "SM1", "MessageStatus": "delivered", "From": "+420601234567"}).encode(),
    "whatsapp": json.dumps(
        {"entry": [{"changes": [{"value": {"statuses": [{"id": "w1", "status": "read", "timestamp": "1"}]}}]}]}
    ).encode(),
    "bulkgate": json.dumps([{"status": "10", "smsID": "b1", "from": "420601234567", "message": "STOP"}]).encode(),
    "email": b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: message/delivery-status\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
    b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + _OURS.encode() + b"@shop>\r\n\r\n--b--\r\n",
}


async def fuzz_topics(run: Run, stack: Stack) -> set[Place]:
    """Records that nobody can read, on every topic that a service hears; callbacks with broken bodies. Where those
    that nobody can read are."""
    places: set[Place] = set()
    partitions = int(stack.setting("HEADRACE_PARTITIONS"))
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        while run.goes_on:
            run.tried += 1
            topic = run.random.choice(_HEARD)
            record = _callback(run.random) if topic is PROVIDER_CALLBACKS else _unreadable(run.random)
            partition = run.random.randrange(partitions)
            offset = await log.append(stack.topic(topic), partition, [record])
            if topic is not PROVIDER_CALLBACKS:
                places.add((stack.topic(topic), partition, offset))
    finally:
        await log.close()
    return places


async def check_letters(places: set[Place], stack: Stack) -> list[str]:
    """What is wrong: records that nobody can read, and that are no dead letters."""
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        letters = [
            msgspec.json.decode(record.value or b"", type=DeadLetter)
            for partition in range(int(stack.setting("HEADRACE_PARTITIONS")))
            async for record in records(log, stack.topic(DEAD_LETTERS), partition)
        ]
    finally:
        await log.close()
    kept = {(letter.origin_topic, letter.origin_partition, letter.origin_offset) for letter in letters}
    return [f"the record {place} can be read by nobody and is no dead letter" for place in sorted(places - kept)]


def _unreadable(random: Random) -> NewRecord:
    """No JSON of any contract: mutations that might be are cut in two."""
    value = random.choice(_UNREADABLE)
    if random.random() < 0.5:
        value = b'{"specversion":' + mutated_bytes(random, b'"1.0","id":"x","data":{"a":[1,2,3]}') + b"\xff"
    key = random.choice((None, b"", b"\xff", b"u1"))
    headers: Headers = random.choice(
        ((), (("\0", b"\xff"),), (("ce_type", b"\xff\xff"),), (("traceparent", b"zz"),))
    )
    return NewRecord(key, value, headers)


def _callback(random: Random) -> NewRecord:
    provider = random.choice((*BODIES, "nobody"))
    body = mutated_bytes(random, BODIES.get(provider, b"x"))
    query = mutated_bytes(random, b"status=1&smsID=b1&tag=" + _OURS.encode()).decode("utf-8", "replace")
    callback = ProviderCallback(
        id=f"c{random.getrandbits(128):032x}",
        provider=provider,
        received_at=1_790_000_000_000,
        content_type=random.choice(("", "application/json", "\0")),
        body=body.decode("utf-8", "replace"),
        query=query,
    )
    headers = cloud_event(kind="provider.callback.v1", event_id=callback.id, source="ingest")
    return NewRecord(b"x", msgspec.json.encode(callback), headers)


async def fuzz_callbacks(run: Run, stack: Stack) -> None:
    """Over HTTP, with the token of the providers that sign nothing, and without what others sign with."""
    async with httpx.AsyncClient(base_url=stack.ingest_url, timeout=30.0, trust_env=False) as client:
        while run.goes_on:
            run.tried += 1
            provider = run.random.choice(tuple(BODIES))
            body = mutated_bytes(run.random, BODIES[provider])
            path = f"/v1/hooks/{provider}?token=hook-token&m={_OURS}"
            answer = await client.post(path, content=body)
            if answer.status_code >= 500 and answer.status_code != 503:
                run.crash("callbacks", f"{path} answered {answer.status_code}", body)


def check_flow(api: Api, tag: str) -> list[str]:
    """Every partition still brings an event to its customer and into the segment, and a customer's message in."""
    users = [f"{tag}after-{number}" for number in range(40)]
    for user in users:
        api.post("/v1/track", {"event": "Order Completed", "userId": user, "messageId": f"after-{user}"})
    try:
        found = [str(wait_until(partial(api.profile, "user_id", user), 60, what=user)["id"]) for user in users]
        wait_until(lambda: set(found) <= api.members(SEGMENT), 60, what="all of them to be members")
        _say_something(api, tag)
    except AssertionError as error:
        return [f"the stream does not go on: {error}"]
    return []


def _say_something(api: Api, tag: str) -> None:
    """One message into each partition of the callbacks, and all of them read."""
    texts = {f"{tag}{number}" for number in range(20)}
    for number, text in enumerate(sorted(texts)):
        said = {"status": "10", "smsID": text, "from": f"+42060123{number:04}", "message": text}
        path = "/v1/hooks/bulkgate?" + urlencode({**said, "token": "hook-token"})
        api.hook(path)
    wait_until(lambda: texts <= {item["text"] for item in api.items("messenger", "/v1/inbound")}, 60, what="texts")
