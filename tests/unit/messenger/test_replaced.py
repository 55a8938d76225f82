"""A topic that is made anew under a reader that goes by numbers: it begins where the log begins, drops what it
has, and waits for what is missing."""

from collections.abc import AsyncIterator

import pytest
from redis import asyncio as redis

from headrace.contracts.headers import SEQ, header, store_output
from headrace.contracts.topics import Topic
from headrace.log.port import NewRecord, Record
from headrace.log.redis_streams import RedisStreamsLog, keys
from headrace.runtime.backlog import Backlog
from headrace.runtime.metrics import Metrics
from services.messenger.input import ContiguousInput
from services.messenger.store import Position

TOPIC = "changes"
DECLARED = Topic(TOPIC, "any", "A test's changes.")


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[RedisStreamsLog]:
    log = await RedisStreamsLog.connect(log_url, rollback_horizon_ms=0, housekeeping_seconds=None)
    await log.create_topics([DECLARED], 1)
    yield log
    await log.close()


async def publish(log: RedisStreamsLog, *seqs: int) -> None:
    records = [
        NewRecord(b"p", b"{}", store_output(source="segmenter", epoch=1, seq=seq, position="")) for seq in seqs
    ]
    await log.append(TOPIC, 0, records)


async def made_anew(log: RedisStreamsLog, log_url: str) -> None:
    async with redis.Redis.from_url(log_url) as client:
        await client.delete(keys.records(TOPIC, 0), keys.meta(TOPIC, 0), keys.committed(TOPIC, 0))
    await log.create_topics([DECLARED], 1)


async def never(record: Record, reason: str) -> None:
    raise AssertionError(f"{record.offset} was set aside: {reason}")


def reader(log: RedisStreamsLog, metrics: Metrics) -> ContiguousInput:
    return ContiguousInput(log, TOPIC, 0, Position(), metrics, set_aside=never, backlog=Backlog())


async def read_twice(source: ContiguousInput) -> tuple[list[int], Position]:
    """The numbers of two reads: the first may find that the log is another."""
    batches = [await source.read(0), await source.read(0)]
    numbers = [int(header(record.headers, SEQ) or 0) for batch in batches for record in batch.records]
    return numbers, batches[-1].position


async def test_nothing_is_skipped_and_nothing_read_twice(log: RedisStreamsLog, log_url: str) -> None:
    metrics = Metrics("messenger")
    source = reader(log, metrics)
    await publish(log, 1, 2, 3, 4)
    assert await read_twice(source) == ([1, 2, 3, 4], Position(4, 1, 4))
    await made_anew(log, log_url)
    await publish(log, 4, 5)
    assert await read_twice(source) == ([5], Position(2, 1, 5))


async def test_what_only_the_old_topic_held_is_waited_for(log: RedisStreamsLog, log_url: str) -> None:
    metrics = Metrics("messenger")
    source = reader(log, metrics)
    await publish(log, 1, 2, 3, 4)
    await read_twice(source)
    await made_anew(log, log_url)
    await publish(log, 7)
    assert await read_twice(source) == ([], Position(0, 1, 4))
    assert metrics.registry.get_sample_value("headrace_partition_halted", {"partition": "0"}) == 1
    await publish(log, 5, 6, 7)
    assert await read_twice(source) == ([5, 6, 7], Position(4, 1, 7))
    assert metrics.registry.get_sample_value("headrace_partition_halted", {"partition": "0"}) == 0


async def test_a_new_topic_that_is_as_long_is_no_other_case(log: RedisStreamsLog, log_url: str) -> None:
    metrics = Metrics("messenger")
    source = reader(log, metrics)
    await publish(log, 1, 2)
    await read_twice(source)
    await made_anew(log, log_url)
    await publish(log, 3, 4, 5)  # offset 2 is 5 now
    assert await read_twice(source) == ([], Position(2, 1, 2))
    await publish(log, 3, 4, 5)
    assert await read_twice(source) == ([3, 4, 5], Position(6, 1, 5))
