"""Much to read and much to write: big records, many partitions, holes that compaction left."""

import asyncio

import pytest

from headrace.contracts.topics import Topic
from headrace.log.kafka import reader
from headrace.log.kafka.feed import Feed
from headrace.log.port import MAX_BATCH_BYTES, NewRecord, OffsetOutOfRange
from tests.conformance.kafka_engine import KafkaEngine
from tests.conformance.log_engine import eventually, fresh, new_topic, numbered, opened, values
from tests.kafka import admin
from tests.kafka.cluster import single

pytestmark = pytest.mark.kafka

# together more than a broker takes as one request: socket.request.max.bytes is 100 MiB
MANY = 32
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "50",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "50",
}


async def test_full_batches_to_many_partitions_at_once_all_land(kafka_engine: KafkaEngine) -> None:
    async with opened(kafka_engine, timeout=20.0) as log:
        topic = Topic(fresh("topic"), "any", "A topic of one test.")
        await log.create_topics([topic], MANY)
        batch = [NewRecord(b"key", bytes(MAX_BATCH_BYTES // 4 - 200))] * 4
        landed = await asyncio.gather(*(log.append(topic.name, partition, batch) for partition in range(MANY)))
        assert landed == [0] * MANY
        found = await asyncio.gather(
            *(log.read(topic.name, partition, 0, wait_ms=5000) for partition in range(MANY))
        )
        assert [records[0].offset for records in found] == [0] * MANY


async def test_a_reader_who_takes_all_that_was_fetched_gets_the_rest(
    kafka_engine: KafkaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BUFFER_BYTES", 1)
    monkeypatch.setattr(reader, "LEAST_BYTES", 1)
    monkeypatch.setattr(reader, "FETCH_RECORDS", 10)
    async with opened(kafka_engine, timeout=1.0) as log:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 50))
        found: list[bytes | None] = []
        while len(found) < 50:
            async with asyncio.timeout(1.0):
                found += values(await log.read(topic, 0, len(found), wait_ms=3000))
        assert found == [b"%d" % number for number in range(50)]


async def test_an_offset_beyond_the_end_is_not_asked_for_again_and_again(
    kafka_engine: KafkaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    fail = Feed.fail

    def counted(feed: Feed, error: Exception) -> None:
        told.append(error)
        fail(feed, error)

    monkeypatch.setattr(Feed, "fail", counted)
    async with opened(kafka_engine) as log:
        topic = await new_topic(log)
        with pytest.raises(OffsetOutOfRange):
            await log.read(topic, 0, 3, wait_ms=1000)
        async with asyncio.timeout(5.0):
            assert await log.read(topic, 1, 0, wait_ms=1000) == []  # the other partitions are read meanwhile
        assert len(told) < 5
        await log.append(topic, 0, numbered(0, 4))
        assert values(await log.read(topic, 0, 3, wait_ms=1000)) == [b"3"]


async def test_holes_that_compaction_left_are_stepped_over() -> None:
    with single(**{"log.cleaner.backoff.ms": "50"}) as broker:
        topic = fresh("topic")
        await asyncio.to_thread(admin.create_topic, broker.address, topic, 1, COMPACTED)
        async with opened(KafkaEngine(broker.url), timeout=2.0) as log:
            for number in range(10):
                await log.append(topic, 0, [NewRecord(b"key", b"%d" % number)])

            async def is_compacted() -> bool:
                await log.append(topic, 0, [NewRecord(b"other", b"last")])  # what rolls the segment
                await asyncio.sleep(0.1)
                async with opened(KafkaEngine(broker.url)) as other:
                    return (await other.read(topic, 0, 0, max_records=1))[0].offset == 9

            await eventually(is_compacted, 30.0)
            end = (await log.bounds(topic, 0)).end
            for first in (0, 3, 9):
                for wait_ms in (0, 1000):
                    offset, found = first, []
                    while offset < end:
                        found += await log.read(topic, 0, offset, max_records=1, wait_ms=wait_ms)
                        offset = found[-1].offset + 1
                    assert found[0].value == b"9"
                    assert found[-1].offset == end - 1
