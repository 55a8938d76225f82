"""The suite of logs that keep what consumers still need and refuse more (the embedded one)."""

import asyncio

from headrace.log.port import Bounds, Log, LogFull, NewRecord
from tests.conformance.log_engine import PARTITIONS, LogEngine, fresh, new_topic, opened

SOON = 10.0


class FullLogTests:
    async def test_a_full_log_pushes_back_until_consumers_have_caught_up(self, own_engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(own_engine, horizon_ms=0) as log:
            topic = await new_topic(log, group)
            member = await log.join(group, [topic], PARTITIONS)
            await own_engine.shrink()
            full = await _fill(log, topic)
            assert len(await log.read(topic, 0, full.begin, max_records=5)) == 5, "a full log is readable"
            for partition in range(PARTITIONS):
                await member.commit(topic, partition, (await log.bounds(topic, partition)).end)
            assert member.assigned() == frozenset(range(PARTITIONS))
            await own_engine.trim(log)
            assert await log.append(topic, 0, [_LARGE] * 3) == full.end

    async def test_a_member_keeps_its_place_while_the_log_is_full(self, own_engine: LogEngine) -> None:
        group = fresh("group")
        async with opened(own_engine) as log:
            topic = await new_topic(log, group)
            await own_engine.shrink()
            await _fill(log, topic)
            first = await log.join(group, [topic], PARTITIONS)
            async with asyncio.timeout(SOON):
                assert await first.changed(frozenset()) == frozenset(range(PARTITIONS))
                second = await log.join(group, [topic], PARTITIONS)
                await first.leave()
                assert await second.changed(frozenset()) == frozenset(range(PARTITIONS))


_LARGE = NewRecord(b"k", b"x" * 60_000)
_SMALL = NewRecord(b"k", b"x" * 500)


async def _fill(log: Log, topic: str) -> Bounds:
    """Append to partition 0 until not even a small record fits; nothing of a refused batch may have landed."""
    end = 0
    for record in (_LARGE, _SMALL):
        end = await _fill_with(log, topic, record, end)
    return Bounds(0, end)


async def _fill_with(log: Log, topic: str, record: NewRecord, first: int) -> int:
    refused = 0
    for end in range(first, 30_000, 3):
        while True:
            try:
                await log.append(topic, 0, [record] * 3)
                break
            except LogFull:
                assert await log.bounds(topic, 0) == Bounds(0, end)
                refused += 1
                if refused == 20:  # a server's own buffers come and go
                    return end
    raise AssertionError("the log never pushed back")
