"""The log's suite: reads that wait."""

import asyncio
import time

import pytest

from headrace.log.port import Log, NewRecord, OffsetOutOfRange, UnknownTopic
from tests.conformance.log_engine import PARTITIONS, LogEngine, fresh, new_topic, numbered, opened, values

PATIENT_MS = 30_000
SOON = 5.0


class WaitingTests:
    async def test_a_waiting_read_wakes_on_an_append(self, engine: LogEngine, log: Log) -> None:
        topic = await new_topic(log)
        waiting = asyncio.create_task(log.read(topic, 0, 0, wait_ms=PATIENT_MS))
        async with opened(engine) as other, asyncio.timeout(SOON):
            await other.append(topic, 0, numbered(7, 1))
            assert values(await waiting) == [b"7"]

    async def test_a_waiting_read_sees_every_append(self, engine: LogEngine, log: Log) -> None:
        """Appends race the reader's look at the end: none may be slept through."""
        topic = await new_topic(log)
        found: list[bytes | None] = []

        async def follow() -> None:
            while len(found) < 200:
                found.extend(values(await log.read(topic, 0, len(found), wait_ms=PATIENT_MS)))

        async with opened(engine) as other, asyncio.timeout(PATIENT_MS / 1000 / 2):
            following = asyncio.create_task(follow())
            for number in range(200):
                await other.append(topic, 0, numbered(number, 1))
            await following
        assert found == [b"%d" % number for number in range(200)]

    async def test_a_wait_without_an_append_ends_empty_in_time(self, log: Log) -> None:
        topic = await new_topic(log)
        before = time.monotonic()
        assert await log.read(topic, 0, 0, wait_ms=200) == []
        assert 0.19 <= time.monotonic() - before < SOON

    async def test_a_wait_returns_at_once_what_is_there(self, log: Log) -> None:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 1))
        async with asyncio.timeout(SOON):
            assert values(await log.read(topic, 0, 0, wait_ms=PATIENT_MS)) == [b"0"]

    async def test_a_waiting_read_has_the_same_errors(self, log: Log) -> None:
        topic = await new_topic(log)
        async with asyncio.timeout(SOON):
            with pytest.raises(OffsetOutOfRange):
                await log.read(topic, 0, 1, wait_ms=PATIENT_MS)
            with pytest.raises(UnknownTopic):
                await log.read(fresh("absent"), 0, 0, wait_ms=PATIENT_MS)

    async def test_an_append_elsewhere_does_not_end_a_wait(self, log: Log) -> None:
        topic = await new_topic(log)
        waiting = asyncio.create_task(log.read(topic, 0, 0, wait_ms=PATIENT_MS))
        async with asyncio.timeout(SOON):
            await log.append(topic, 1, numbered(1, 1))
            assert values(await log.read(topic, 1, 0, wait_ms=PATIENT_MS)) == [b"1"]
            await log.append(topic, 0, numbered(0, 1))
            assert values(await waiting) == [b"0"]

    async def test_more_reads_wait_than_there_are_connections(self, log: Log) -> None:
        topic = await new_topic(log)
        reads = [asyncio.create_task(log.read(topic, n % PARTITIONS, 0, wait_ms=PATIENT_MS)) for n in range(300)]
        async with asyncio.timeout(PATIENT_MS / 1000 / 2):
            for partition in range(PARTITIONS):
                await log.append(topic, partition, [NewRecord(b"k", b"%d" % partition)])
            found = await asyncio.gather(*reads)
        assert [values(records) for records in found] == [[b"%d" % (n % PARTITIONS)] for n in range(300)]

    async def test_a_cancelled_read_harms_nobody(self, log: Log) -> None:
        """Cancelled at every stage: before the first step, on the wire, while waiting."""
        topic = await new_topic(log)
        staying = asyncio.create_task(log.read(topic, 0, 0, wait_ms=PATIENT_MS))
        for steps in range(200):
            read = asyncio.create_task(log.read(topic, steps % PARTITIONS, 0, wait_ms=PATIENT_MS))
            for _ in range(steps % 40):
                await asyncio.sleep(0)
            read.cancel()
            with pytest.raises(asyncio.CancelledError):
                await read
        async with asyncio.timeout(SOON):
            for partition in range(PARTITIONS):
                await log.append(topic, partition, numbered(partition, 1))
                assert values(await log.read(topic, partition, 0, wait_ms=PATIENT_MS)) == [b"%d" % partition]
            assert values(await staying) == [b"0"]
