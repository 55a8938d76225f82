"""Good events between the bad input: whatever was answered with success is on the log exactly once."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headrace.contracts.event import Event
from headrace.contracts.topics import EVENTS
from headrace.log.connect import connect_log
from headrace.log.port import Log, Record
from tests.e2e.stack import Stack


@dataclass
class Good:
    """Ids of the events sent so far, and of those that were answered. `prefix` is this run's alone."""

    prefix: str
    sent: int = 0
    answered: set[str] = field(default_factory=set)

    def event(self) -> dict[str, Any]:
        """A new one."""
        self.sent += 1
        user = f"fuzz-{self.sent % 50}"
        return {"type": "track", "event": "Fuzzed", "userId": user, "messageId": f"{self.prefix}{self.sent}"}

    def body(self) -> tuple[str, bytes]:
        """A new one's id and JSON."""
        event = self.event()
        return event["messageId"], json.dumps(event).encode()


async def check(good: Good, stack: Stack) -> list[str]:
    """What is wrong: an answered event that the log does not have, and any that it has twice."""
    counted = Counter(key for key in await _on_the_log(stack) if key.startswith(good.prefix))
    lost = [f"{key} was answered and is not on the log" for key in sorted(good.answered - counted.keys())]
    doubled = [f"{key} is on the log {times} times" for key, times in sorted(counted.items()) if times > 1]
    return [*lost, *doubled]


async def _on_the_log(stack: Stack) -> list[str]:
    log = await connect_log(stack.setting("HEADRACE_LOG_URL"), rollback_horizon_ms=600_000)
    topic = stack.topic(EVENTS)
    try:
        return [
            _id_of(record.value or b"")
            for partition in range(int(stack.setting("HEADRACE_PARTITIONS")))
            async for record in records(log, topic, partition)
        ]
    finally:
        await log.close()


async def records(log: Log, topic: str, partition: int) -> AsyncIterator[Record]:
    """All that the partition has now."""
    bounds = await log.bounds(topic, partition)
    offset = bounds.begin
    while offset < bounds.end:
        for record in await log.read(topic, partition, offset):
            yield record
            offset = record.offset + 1


def _id_of(value: bytes) -> str:
    try:
        return msgspec.json.decode(value, type=Event).message_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
