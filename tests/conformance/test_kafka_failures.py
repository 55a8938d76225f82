"""Brokers that die under appends and reads: nothing acknowledged is lost, and work goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.log.port import Log, LogUnavailable, NewRecord
from tests.conformance.kafka_engine import KafkaEngine, OwnKafkaEngine
from tests.conformance.log_engine import (
    PARTITIONS,
    eventually,
    fresh,
    new_topic,
    numbered,
    opened,
    read_all,
    values,
)
from tests.conformance.log_groups import has_all
from tests.kafka.cluster import Cluster

pytestmark = pytest.mark.kafka

TIMEOUT = 1.0
RECOVERY = 10.0
TAKEOVER = 15.0


class Writer:
    """Appends one number after the other to a partition, going on after every failure. `acknowledged` maps the
    offset to the number."""

    def __init__(self, log: Log, topic: str, partition: int) -> None:
        self._log = log
        self.topic = topic
        self.partition = partition
        self.acknowledged: dict[int, bytes] = {}
        self.failures = 0

    async def run(self, going: asyncio.Event) -> None:
        number = 0
        while not going.is_set():
            value = b"%d" % number
            try:
                offset = await self._log.append(self.topic, self.partition, [NewRecord(b"k", value)])
            except LogUnavailable:
                self.failures += 1
            else:
                assert offset not in self.acknowledged
                self.acknowledged[offset] = value
            number += 1
            await asyncio.sleep(0.001)

    async def goes_on(self) -> None:
        """Wait for one more acknowledgement."""
        known = len(self.acknowledged)
        await eventually(lambda: len(self.acknowledged) > known)


class Follower:
    """Reads a partition as it grows."""

    def __init__(self, log: Log, topic: str, partition: int) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self.values: list[bytes | None] = []

    async def run(self) -> None:
        while True:
            try:
                found = await self._log.read(self._topic, self._partition, len(self.values), wait_ms=500)
            except LogUnavailable:
                await asyncio.sleep(0.05)
            else:
                assert [record.offset - len(self.values) for record in found] == list(range(len(found)))
                self.values += values(found)


@asynccontextmanager
async def traffic(log: Log, topic: str) -> AsyncIterator[tuple[list[Writer], list[Follower]]]:
    """A writer and a follower at each partition; the writers stop in the end, and everybody reads everything."""
    writers = [Writer(log, topic, partition) for partition in range(PARTITIONS)]
    followers = [Follower(log, topic, partition) for partition in range(PARTITIONS)]
    stopped = asyncio.Event()
    writing = [asyncio.create_task(writer.run(stopped)) for writer in writers]
    following = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        await asyncio.gather(*(writer.goes_on() for writer in writers))
        yield writers, followers
        stopped.set()
        await asyncio.gather(*writing)
        for writer, follower in zip(writers, followers, strict=True):
            await eventually(lambda: len(follower.values) > max(writer.acknowledged))  # noqa: B023 - awaited at once
    finally:
        for task in (*writing, *following):
            task.cancel()
        await asyncio.wait([*writing, *following])


async def assert_nothing_lost(log: Log, writers: list[Writer], followers: list[Follower]) -> None:
    """Each acknowledged number stands once, at its offset, and the order is the order of the appends."""
    for writer, follower in zip(writers, followers, strict=True):
        records = await read_all(log, writer.topic, writer.partition)
        assert [record.offset for record in records] == list(range(len(records)))
        found = [int(record.value or b"-1") for record in records]
        assert {offset: b"%d" % found[offset] for offset in writer.acknowledged} == writer.acknowledged
        assert len(set(found)) == len(found), "an append landed twice"
        assert follower.values == values(records)[: len(follower.values)]


async def test_a_producer_that_failed_on_a_dead_broker_recovers_with_it(own_kafka_engine: OwnKafkaEngine) -> None:
    """What its idempotent sequence lost in the failure must not be missed by the broker for ever after."""
    async with opened(own_kafka_engine, timeout=TIMEOUT) as log:
        topic = await new_topic(log)
        assert [await log.append(topic, 0, numbered(number, 1)) for number in range(3)] == [0, 1, 2]
        await own_kafka_engine.kill()
        for number in range(100, 103):
            before = time.monotonic()
            with pytest.raises(LogUnavailable):
                await log.append(topic, 0, numbered(number, 1))
            assert time.monotonic() - before < TIMEOUT + 1.0
        await own_kafka_engine.start()
        await eventually(lambda: _appended(log, topic, 3), RECOVERY)
        assert [await log.append(topic, 0, numbered(number, 1)) for number in (4, 5)] == [4, 5]
        assert values(await read_all(log, topic)) == [b"%d" % number for number in range(6)]


@pytest.mark.timeout(180)
async def test_a_lost_leader_loses_nothing(kafka_cluster: Cluster) -> None:
    engine = KafkaEngine(kafka_cluster.url)
    async with opened(engine, timeout=TIMEOUT) as log:
        topic = await new_topic(log)
        member = await log.join(fresh("group"), [topic], PARTITIONS)
        await has_all(member, TAKEOVER)
        async with traffic(log, topic) as (writers, followers):
            for partition in (0, 1):
                leader = await asyncio.to_thread(kafka_cluster.leader, topic, partition)
                await asyncio.to_thread(leader.kill)
                async with asyncio.timeout(RECOVERY):
                    await asyncio.gather(*(writer.goes_on() for writer in writers))
                await has_all(member, TAKEOVER)
                await asyncio.to_thread(kafka_cluster.catch_up, topic)
        await assert_nothing_lost(log, writers, followers)
        assert sum(writer.failures for writer in writers) > 0, "no append was under way"


@pytest.mark.timeout(180)
async def test_a_rolling_restart_of_the_brokers_loses_nothing(kafka_cluster: Cluster) -> None:
    async with opened(KafkaEngine(kafka_cluster.url), timeout=TIMEOUT) as log:
        topic = await new_topic(log)
        async with traffic(log, topic) as (writers, followers):
            for broker in kafka_cluster.brokers:
                await asyncio.to_thread(broker.stop)
                await asyncio.to_thread(kafka_cluster.catch_up, topic)
                async with asyncio.timeout(RECOVERY):
                    await asyncio.gather(*(writer.goes_on() for writer in writers))
        await assert_nothing_lost(log, writers, followers)


async def _appended(log: Log, topic: str, offset: int) -> bool:
    """Whether the number that is its offset could be appended."""
    try:
        return await log.append(topic, 0, numbered(offset, 1)) == offset
    except LogUnavailable:
        return False
