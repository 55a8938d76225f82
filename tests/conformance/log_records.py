"""The log's suite: appending and reading."""

import asyncio
import time

import pytest

from headrace.contracts.topics import Topic
from headrace.log.port import (
    Bounds,
    Log,
    NewRecord,
    OffsetOutOfRange,
    RecordTooLarge,
    UnknownTopic,
    WrongTopicSettings,
)
from tests.conformance.log_engine import (
    PARTITIONS,
    LogEngine,
    fresh,
    new_topic,
    numbered,
    opened,
    read_all,
    values,
)


class RecordTests:
    async def test_records_keep_their_order_within_and_between_batches(self, log: Log) -> None:
        topic = await new_topic(log)
        for first in (0, 3, 6):
            await log.append(topic, 0, numbered(first, 3))
        assert values(await read_all(log, topic)) == [b"%d" % number for number in range(9)]

    async def test_offsets_are_dense_and_append_returns_the_first(self, log: Log) -> None:
        topic = await new_topic(log)
        firsts = [await log.append(topic, 1, numbered(0, count)) for count in (1, 5, 2)]
        assert firsts == [0, 1, 6]
        assert [record.offset for record in await read_all(log, topic, 1)] == list(range(8))

    async def test_partitions_and_topics_are_apart(self, log: Log) -> None:
        one, other = await new_topic(log), await new_topic(log)
        await log.append(one, 0, [NewRecord(b"k", b"one-0")])
        await log.append(one, 1, [NewRecord(b"k", b"one-1")])
        await log.append(other, 0, [NewRecord(b"k", b"other-0")])
        found = [await log.read(one, 0, 0), await log.read(one, 1, 0), await log.read(other, 0, 0)]
        assert [values(records) for records in found] == [[b"one-0"], [b"one-1"], [b"other-0"]]
        assert [(record.topic, record.partition) for (record,) in found] == [(one, 0), (one, 1), (other, 0)]

    async def test_keys_values_and_headers_come_back_as_given(self, log: Log) -> None:
        topic = await new_topic(log)
        given = [
            NewRecord(None, None),
            NewRecord(b"", b""),
            NewRecord("klíč".encode(), bytes(range(256)), (("ce_id", b"1"), ("twice", b"a"), ("twice", b"b"))),
            NewRecord(b"k", b'{"a": 1}', (("", b""), ("háček", b"\x00\xff"))),
        ]
        await log.append(topic, 0, given)
        assert [NewRecord(r.key, r.value, r.headers) for r in await log.read(topic, 0, 0)] == given

    async def test_what_is_erased_says_nothing_any_more_or_the_log_says_that_it_cannot(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 120))
        before = await read_all(log, topic)
        if not await log.erase(topic, 0, [0, 60, 119]):
            assert await read_all(log, topic) == before
            return
        assert await log.append(topic, 0, numbered(120, 2)) == 120
        after = await read_all(log, topic)
        assert [(record.offset, record.time) for record in after[:120]] == [(r.offset, r.time) for r in before]
        said = {record.offset: (record.key, record.value, record.headers) for record in after}
        assert {said[offset] for offset in (0, 60, 119)} == {(None, None, ())}
        left = [number for number in range(122) if number not in (0, 60, 119)]
        assert [said[number][1] for number in left] == [b"%d" % number for number in left]

    async def test_an_empty_batch_appends_nothing(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 2))
        assert await log.append(topic, 0, []) == 2
        assert await log.bounds(topic, 0) == Bounds(0, 2)

    async def test_time_is_the_logs_own_and_runs_forward(self, log: Log) -> None:
        topic = await new_topic(log)
        before = time.time_ns() // 1_000_000
        for first in range(20):
            await log.append(topic, 0, numbered(first, 2))
        after = time.time_ns() // 1_000_000
        times = [record.time for record in await read_all(log, topic)]
        assert times == sorted(times)
        assert before - 1 <= times[0] <= times[-1] <= after + 1

    async def test_every_read_says_where_so_seeking_and_replay_are_reads(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 10))
        assert values(await log.read(topic, 0, 7)) == [b"7", b"8", b"9"]
        assert values(await log.read(topic, 0, 2, max_records=2)) == [b"2", b"3"]
        assert await log.read(topic, 0, 2, max_records=2) == await log.read(topic, 0, 2, max_records=2)

    async def test_reading_at_the_end_is_empty_and_beyond_it_an_error(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 3))
        assert await log.read(topic, 0, 3) == []
        for offset in (4, 1_000_000, -1):
            with pytest.raises(OffsetOutOfRange, match=str(offset)):
                await log.read(topic, 0, offset)

    async def test_bounds_of_an_empty_partition(self, log: Log) -> None:
        topic = await new_topic(log)
        assert await log.bounds(topic, PARTITIONS - 1) == Bounds(0, 0)
        assert await log.read(topic, PARTITIONS - 1, 0) == []

    async def test_an_unknown_topic_or_partition_is_an_error_everywhere(self, log: Log) -> None:
        topic = await new_topic(log)
        for name, partition in ((fresh("absent"), 0), (topic, PARTITIONS)):
            with pytest.raises(UnknownTopic, match="topics create"):
                await log.append(name, partition, numbered(0, 1))
            with pytest.raises(UnknownTopic):
                await log.append(name, partition, [])
            with pytest.raises(UnknownTopic):
                await log.read(name, partition, 0)
            with pytest.raises(UnknownTopic):
                await log.bounds(name, partition)

    async def test_creating_topics_is_idempotent_and_keeps_the_records(self, log: Log) -> None:
        topic = Topic(fresh("topic"), "any", "Created twice.")
        await log.create_topics([topic], PARTITIONS)
        await log.append(topic.name, 0, numbered(0, 2))
        await log.create_topics([topic], PARTITIONS)
        assert await log.bounds(topic.name, 0) == Bounds(0, 2)

    async def test_another_partition_count_is_refused(self, log: Log) -> None:
        topic = Topic(fresh("topic"), "any", "Counted.")
        await log.create_topics([topic], PARTITIONS)
        with pytest.raises(WrongTopicSettings, match=f"{PARTITIONS} partitions, not {PARTITIONS + 1}"):
            await log.create_topics([topic], PARTITIONS + 1)

    async def test_concurrent_appends_are_ordered_by_the_log(self, engine: LogEngine, log: Log) -> None:
        topic = await new_topic(log)
        async with opened(engine) as other:
            firsts = await asyncio.gather(
                *(
                    writer.append(topic, 0, numbered(batch * 3, 3))
                    for batch in range(40)
                    for writer in (log, other)
                )
            )
        assert sorted(firsts) == list(range(0, 240, 3))
        found = values(await read_all(log, topic))
        assert all(found[first : first + 3] == _batch_at(found, first) for first in range(0, 240, 3))

    async def test_an_oversized_record_is_refused_with_its_batch(self, engine: LogEngine) -> None:
        async with opened(engine, max_record_bytes=1000) as log:
            topic = await new_topic(log)
            fits = NewRecord(b"k" * 10, b"v" * 980, (("name", b"header"),))
            assert fits.size() == 1000
            for field in ("key", "value", "headers"):
                large = {"key": fits.key, "value": fits.value, "headers": fits.headers}
                large[field] = (*fits.headers, ("x", b"")) if field == "headers" else b"v" * 1001
                with pytest.raises(RecordTooLarge, match="limit is 1000"):
                    await log.append(topic, 0, [fits, NewRecord(**large), fits])  # type: ignore[arg-type]
            assert await log.bounds(topic, 0) == Bounds(0, 0)
            assert await log.append(topic, 0, [fits]) == 0

    async def test_a_megabyte_passes(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, [NewRecord(None, b"m" * 1_000_000)])
        (record,) = await log.read(topic, 0, 0)
        assert record.value == b"m" * 1_000_000


def _batch_at(found: list[bytes | None], first: int) -> list[bytes | None]:
    """The batch that the value at `first` begins; batches start at multiples of 3."""
    start = int(found[first] or b"-1")
    assert start % 3 == 0, f"a batch begins in the middle: {start}"
    return [b"%d" % number for number in range(start, start + 3)]
