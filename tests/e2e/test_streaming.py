"""Conditions of seconds on the running platform: customers who do nothing more are noticed, and every change
carries the exact instant at which it became true, however long it took to notice."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from headrace.contracts.instant import format_instant
from headrace.contracts.topics import SEGMENT_CHANGES
from headrace.log.connect import connect_log
from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until

FILLED, PAID, BROWSED, ARRIVED = "Basket Filled", "Basket Paid", "Shelf Browsed", "Store Entered"
DEFINITIONS = f"""
kind: segment
id: streaming-abandoned
name: Filled a basket and did not pay for it within two seconds
when:
  sequence:
    steps: [{{event: {FILLED}}}]
    then_not: {{event: {PAID}, within: 2s}}
    by: properties.basket_id
---
kind: segment
id: streaming-browsing
name: Looked at a shelf within three seconds
when: {{event: {{name: {BROWSED}, within: 3s}}}}
---
kind: segment
id: streaming-staying
name: In the store, for two seconds
when: {{held: {{for: 2s, condition: {{event: {{name: {ARRIVED}}}}}}}}}
"""
Change = tuple[str, str, str, str]
"""Segment, action, reason, timestamp."""


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file = tmp_path_factory.mktemp("streaming") / "definitions.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    api = Api(stack)
    api.headrace("apply", "-f", file, "--wait")
    yield api
    api.close()


def post(api: Api, user: str, *events: tuple[str, dict[str, str]]) -> list[int]:
    """Send them in one request, a millisecond apart; their instants, in milliseconds."""
    latest = int(1000 * time.time())
    stamps = list(range(latest - len(events) + 1, latest + 1))
    batch: list[dict[str, Any]] = [
        {"type": "track", "userId": user, "event": name, "properties": properties, "timestamp": format_instant(at)}
        for at, (name, properties) in zip(stamps, events, strict=True)
    ]
    answer = api.post("/v1/batch", {"batch": batch})
    assert answer.json() == {"success": True}
    return stamps


def changes(api: Api, user: str) -> list[Change]:
    """What is published about the customer, in order."""
    profile = api.profile("user_id", user)
    return [] if profile is None else asyncio.run(_published(api.stack, profile["id"]))


async def _published(stack: Stack, profile_id: str) -> list[Change]:
    found = []
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    try:
        topic = stack.topic(SEGMENT_CHANGES)
        for partition in range(int(stack.setting("HEADRACE_PARTITIONS"))):
            bounds = await log.bounds(topic, partition)
            offset = bounds.begin
            while offset < bounds.end:
                for record in await log.read(topic, partition, offset):
                    found.append(msgspec.json.decode(record.value or b"{}"))
                    offset = record.offset + 1
    finally:
        await log.close()
    own = [(change["properties"], change) for change in found if change["profile"]["id"] == profile_id]
    return [(told["segment_id"], told["action"], told["reason"], change["timestamp"]) for told, change in own]


def wait_changes(api: Api, user: str, *expected: Change) -> None:
    """Wait for as many changes as are expected; they are these and no others."""
    found = wait_until(
        lambda: found if len(found := changes(api, user)) >= len(expected) else None,
        30,
        what=f"{len(expected)} changes of {user}",
    )
    assert found == list(expected)


def in_segment(api: Api, user: str, segment: str) -> bool:
    profile = api.profile("user_id", user)
    return profile is not None and profile["id"] in api.members(segment)


def test_an_abandoned_basket_is_noticed_and_a_late_payment_ends_it(api: Api) -> None:
    """The basket that was paid in time is due a millisecond before the other, so the instant tells which it is."""
    user, segment = "streaming-ada", "streaming-abandoned"
    paid, left = {"basket_id": "1"}, {"basket_id": "2"}
    _, filled, _ = post(api, user, (FILLED, paid), (FILLED, left), (PAID, paid))

    wait_until(lambda: in_segment(api, user, segment), 30, what="the abandoned basket")
    entered = (segment, "entered", "time", format_instant(filled + 2_000))
    wait_changes(api, user, entered)

    (at,) = post(api, user, (PAID, left))
    wait_until(lambda: not in_segment(api, user, segment), 30, what="the end of it")
    wait_changes(api, user, entered, (segment, "exited", "event", format_instant(at)))


def test_a_silent_customer_leaves_a_window_of_seconds(api: Api) -> None:
    user, segment = "streaming-cleo", "streaming-browsing"
    first, last = post(api, user, (BROWSED, {}), (BROWSED, {}))

    wait_changes(
        api,
        user,
        (segment, "entered", "event", format_instant(first)),
        (segment, "exited", "time", format_instant(last + 3_000)),
    )
    assert not in_segment(api, user, segment)


def test_what_has_held_for_seconds_is_noticed_by_itself(api: Api) -> None:
    user, segment = "streaming-dan", "streaming-staying"
    (arrived,) = post(api, user, (ARRIVED, {}))

    wait_until(lambda: in_segment(api, user, segment), 30, what="somebody who has stayed")
    wait_changes(api, user, (segment, "entered", "time", format_instant(arrived + 2_000)))
