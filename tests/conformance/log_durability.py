"""The log's suite: what a dead or slow engine may and may not do."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from headrace.log.port import Log, LogUnavailable, NewRecord, Record
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

BATCH = 50
SOON = 10.0


class DurabilityTests:
    async def test_an_acknowledged_append_survives_a_kill(self, own_engine: LogEngine) -> None:
        async with opened(own_engine) as log:
            topic = await new_topic(log)
            for first in range(0, 30, 3):
                await log.append(topic, 0, numbered(first, 3))
            before = await read_all(log, topic)
            await own_engine.kill()
            await own_engine.start()
            assert await read_all(log, topic) == before
            assert await log.append(topic, 0, numbered(30, 1)) == 30

    async def test_an_engine_killed_in_the_middle_of_appends_keeps_whole_batches(
        self, own_engine: LogEngine
    ) -> None:
        async with opened(own_engine) as log:
            topic = await new_topic(log)
            acknowledged: dict[int, bytes] = {}
            for turn in range(3):
                writers = [asyncio.create_task(_write(log, topic, f"{turn}.{n}", acknowledged)) for n in range(6)]
                enough = len(acknowledged) + 20
                await eventually(lambda: len(acknowledged) >= enough)  # noqa: B023 - awaited at once
                await own_engine.kill()
                await asyncio.gather(*writers)
                await own_engine.start()
            records = await read_all(log, topic)
        _assert_whole_batches(records, acknowledged)

    async def test_a_dead_engine_is_unavailable_and_then_comes_back(self, own_engine: LogEngine) -> None:
        async with opened(own_engine) as log:
            topic = await new_topic(log)
            await own_engine.kill()
            async with asyncio.timeout(SOON):
                with pytest.raises(LogUnavailable):
                    await log.append(topic, 0, numbered(0, 1))
                with pytest.raises(LogUnavailable):
                    await log.read(topic, 0, 0)
                with pytest.raises(LogUnavailable):
                    await log.bounds(topic, 0)
            await own_engine.start()
            assert await log.append(topic, 0, numbered(0, 1)) == 0

    async def test_a_wait_outlasts_a_restart_of_the_engine(self, own_engine: LogEngine) -> None:
        async with opened(own_engine) as log:
            topic = await new_topic(log)
            waiting = asyncio.create_task(_read_patiently(log, topic))
            assert await log.read(topic, 0, 0, wait_ms=1) == []
            await own_engine.kill()
            await own_engine.start()
            async with asyncio.timeout(SOON):
                await log.append(topic, 0, numbered(5, 1))
                assert values(await waiting) == [b"5"]

    async def test_a_member_outlasts_a_restart_of_the_engine(self, own_engine: LogEngine) -> None:
        async with opened(own_engine) as log:
            member = await log.join(fresh("group"), [await new_topic(log)], PARTITIONS)
            everything = frozenset(range(PARTITIONS))
            async with asyncio.timeout(SOON):
                await member.changed(frozenset())
            await own_engine.kill()
            async with asyncio.timeout(SOON):
                assert await member.changed(everything) == frozenset()
            await own_engine.start()
            async with asyncio.timeout(SOON):
                assert await member.changed(frozenset()) == everything

    async def test_no_call_waits_longer_than_the_deadline_for_a_stalled_engine(
        self, own_engine: LogEngine
    ) -> None:
        async with opened(own_engine, timeout=0.5) as log:
            topic = await new_topic(log)
            own_engine.pause()
            try:
                for call in (log.append(topic, 0, numbered(0, 1)), log.read(topic, 0, 0), log.bounds(topic, 0)):
                    before = time.monotonic()
                    with pytest.raises(LogUnavailable):
                        await call
                    assert time.monotonic() - before < 2.0
            finally:
                own_engine.resume()

    async def test_an_append_lands_before_its_end_or_never(self, own_engine: LogEngine) -> None:
        async with opened(own_engine, timeout=0.5) as log:
            topic = await new_topic(log)
            await log.append(topic, 0, numbered(0, 1))
            own_engine.pause()
            try:
                with pytest.raises(LogUnavailable):
                    await log.append(topic, 0, numbered(100, 1))
                cancelled = asyncio.create_task(log.append(topic, 0, numbered(200, 1)))
                await asyncio.sleep(0)
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
            finally:
                own_engine.resume()
            await log.append(topic, 0, numbered(1, 1))
            assert values(await read_all(log, topic)) == [b"0", b"1"]


async def _read_patiently(log: Log, topic: str) -> list[Record]:
    """As a service reads: an engine that is away or still loads its data is asked again."""
    while True:
        try:
            return await log.read(topic, 0, 0, wait_ms=30_000)
        except LogUnavailable:
            await asyncio.sleep(0.01)


async def _write(log: Log, topic: str, name: str, acknowledged: dict[int, bytes]) -> None:
    """Append batches until the engine is gone. Batches are big, so that a kill finds one half written."""
    for number in range(100_000):
        batch = f"{name}.{number}".encode()
        records = [NewRecord(b"%d" % index, batch + b"." * 1000) for index in range(BATCH)]
        try:
            acknowledged[await log.append(topic, 0, records)] = batch
        except LogUnavailable:
            return


def _assert_whole_batches(records: Sequence[Record], acknowledged: dict[int, bytes]) -> None:
    assert [record.offset for record in records] == list(range(len(records)))
    assert len(records) % BATCH == 0
    found: dict[int, bytes] = {}
    for first in range(0, len(records), BATCH):
        batch = records[first : first + BATCH]
        assert [record.key for record in batch] == [b"%d" % index for index in range(BATCH)]
        (value,) = {record.value for record in batch}
        found[first] = (value or b"").rstrip(b".")
    assert acknowledged.items() <= found.items()
    assert len(set(found.values())) == len(found), "a batch landed twice"
