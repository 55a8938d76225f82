"""The suite of logs that trim what every consumer has passed (the embedded one)."""

import pytest

from headrace.log.port import Bounds, Log, NewRecord, OffsetOutOfRange
from tests.conformance.log_engine import (
    PARTITIONS,
    LogEngine,
    eventually,
    fresh,
    new_topic,
    numbered,
    opened,
    read_all,
    values,
)

HORIZON_MS = 1500


class TrimmingTests:
    async def test_only_what_every_group_has_passed_is_trimmed(self, engine: LogEngine) -> None:
        fast, slow = fresh("group"), fresh("group")
        async with opened(engine, horizon_ms=0) as log:
            topic = await new_topic(log, fast, slow)
            members = {group: await log.join(group, [topic], PARTITIONS) for group in (fast, slow)}
            await log.append(topic, 0, numbered(0, 10))
            await members[fast].commit(topic, 0, 8)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(0, 10), "a group that never committed blocks trimming"
            await members[slow].commit(topic, 0, 3)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(3, 10)
            assert values(await read_all(log, topic)) == [b"%d" % number for number in range(3, 10)]
            await members[slow].commit(topic, 0, 9)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(8, 10)

    async def test_reading_what_was_trimmed_is_an_error(self, engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(engine, horizon_ms=0) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            await log.append(topic, 0, numbered(0, 4))
            for committed in (2, 4):
                await member.commit(topic, 0, committed)
                await engine.trim(log)
                with pytest.raises(OffsetOutOfRange, match=f"{committed - 1} of .* not within {committed} to 4"):
                    await log.read(topic, 0, committed - 1)

    async def test_offsets_go_on_after_everything_was_trimmed(self, own_engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(own_engine, horizon_ms=0) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            await log.append(topic, 0, numbered(0, 4))
            await member.commit(topic, 0, 4)
            await own_engine.trim(log)
            await own_engine.kill()
            await own_engine.start()
            assert await log.bounds(topic, 0) == Bounds(4, 4)
            assert await log.append(topic, 0, numbered(4, 1)) == 4
            assert values(await log.read(topic, 0, 4)) == [b"4"]

    async def test_a_commit_is_never_lowered_and_one_beyond_the_end_harms_nothing(self, engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(engine, horizon_ms=0) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            await log.append(topic, 0, numbered(0, 12))
            await member.commit(topic, 0, 10)
            await member.commit(topic, 0, 9)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(10, 12)
            await member.commit(topic, 0, 1000)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(12, 12)

    async def test_nothing_younger_than_the_horizon_is_trimmed(self, engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(engine, horizon_ms=HORIZON_MS) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            await log.append(topic, 0, numbered(0, 5))
            await member.commit(topic, 0, 5)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(0, 5)
            (old,) = await log.read(topic, 0, 4)
            await eventually(lambda: _later_than(log, old.time + HORIZON_MS))
            young = await log.append(topic, 0, numbered(5, 2))
            await member.commit(topic, 0, young + 2)
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(young, young + 2)

    async def test_partitions_are_trimmed_each_by_its_own_commits(self, engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(engine, horizon_ms=0) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            for partition in range(PARTITIONS):
                await log.append(topic, partition, numbered(0, 5))
                await member.commit(topic, partition, partition)
            await engine.trim(log)
            bounds = [await log.bounds(topic, partition) for partition in range(PARTITIONS)]
            assert [(b.begin, b.end) for b in bounds] == [(q, 5) for q in range(PARTITIONS)]

    async def test_a_topic_that_no_group_reads_is_kept(self, engine: LogEngine) -> None:
        async with opened(engine, horizon_ms=0) as log:
            topic = await new_topic(log)
            await log.append(topic, 0, numbered(0, 5))
            await engine.trim(log)
            assert await log.bounds(topic, 0) == Bounds(0, 5)


async def _later_than(log: Log, instant: int) -> bool:
    """Whether the log's own clock has passed `instant`."""
    topic = await new_topic(log)
    await log.append(topic, 0, [NewRecord(None, None)])
    (record,) = await log.read(topic, 0, 0)
    return record.time > instant
