"""The log's suite: members come and go while records flow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

from headrace.log.port import Log, Member
from tests.conformance.log_engine import PARTITIONS, LogEngine, eventually, fresh, new_topic, numbered, opened
from tests.conformance.other_member import other_member

ALL = frozenset(range(PARTITIONS))
NONE: frozenset[int] = frozenset()
TAKEOVER = 15.0
PAUSE = 0.01


class Flow:
    """Numbers appended to every partition, on and on. `written`: how many each has been given."""

    def __init__(self) -> None:
        self.written = [0] * PARTITIONS
        self._going = True

    def stop(self) -> None:
        self._going = False

    async def run(self, log: Log, topic: str, partition: int) -> None:
        while self._going:
            await log.append(topic, partition, numbered(self.written[partition], 1))
            self.written[partition] += 1
            await asyncio.sleep(PAUSE)


class Store:
    """What services keep: where each partition goes on, moved only by who found it where it was."""

    def __init__(self) -> None:
        self.values: list[list[bytes | None]] = [[] for _ in range(PARTITIONS)]

    def next_offset(self, partition: int) -> int:
        return len(self.values[partition])


class Reader:
    """A member that reads what is assigned to it into the store."""

    def __init__(self, log: Log, topic: str, member: Member, store: Store) -> None:
        self._log = log
        self._topic = topic
        self._store = store
        self.member = member
        self.read = 0

    def assigned(self) -> frozenset[int]:
        return self.member.assigned()

    async def run(self) -> None:
        while True:
            for partition in sorted(self.assigned()):
                await self._read(partition)
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self.member.changed(self.assigned())

    async def _read(self, partition: int) -> None:
        """Read on, unless the partition went to another meanwhile."""
        offset = self._store.next_offset(partition)
        records = await self._log.read(self._topic, partition, offset)
        if partition not in self.assigned():
            return
        assert self._store.next_offset(partition) == offset, "somebody read a partition that is assigned to us"
        self._store.values[partition] += [record.value for record in records]
        self.read += len(records)


class RebalanceTests:
    settles: ClassVar[float]
    shares: ClassVar[bool]

    async def test_members_come_and_go_while_records_flow(self, engine: LogEngine, log: Log) -> None:
        group, topic, store = fresh("group"), await new_topic(log), Store()
        async with _flow(log, topic) as flow, _reader(engine, group, topic, store) as first:
            await eventually(lambda: first.read > 0, self.settles)
            async with _reader(engine, group, topic, store) as second:
                await eventually(lambda: self._is_settled(first, second), self.settles)
                async with _reader(engine, group, topic, store) as third:
                    await eventually(lambda: self._is_settled(first, second, third), self.settles)
                    before = third.read
                    await eventually(lambda: not self.shares or third.read > before)
                await eventually(lambda: self._is_settled(first, second), self.settles)
            async with other_member(engine.url, group, topic) as other:
                # it reads nothing: what is assigned to it waits until somebody else gets it
                await eventually(lambda: first.assigned() ^ other.assigned() == ALL, TAKEOVER)
                await eventually(lambda: bool(other.assigned()) or not self.shares, TAKEOVER)
                other.process.kill()
                await eventually(lambda: first.assigned() == ALL, TAKEOVER)
            flow.stop()
            await eventually(lambda: _is_complete(store, flow))

    async def test_a_rolling_restart_of_the_members_loses_nothing(self, engine: LogEngine, log: Log) -> None:
        group, topic, store = fresh("group"), await new_topic(log), Store()
        async with _flow(log, topic) as flow:
            for _ in range(3):
                async with (
                    _reader(engine, group, topic, store) as one,
                    _reader(engine, group, topic, store) as two,
                ):
                    await eventually(lambda: self._is_settled(one, two), self.settles)
                    before = one.read + two.read
                    await eventually(lambda: one.read + two.read > before)  # noqa: B023 - awaited at once
            flow.stop()
            async with _reader(engine, group, topic, store):
                await eventually(lambda: _is_complete(store, flow))

    def _is_settled(self, *readers: Reader) -> bool:
        """Whether each partition has one member, and where members share, each member a partition."""
        taken = [reader.assigned() for reader in readers]
        together = NONE.union(*taken)
        assert sum(map(len, taken)) == len(together), "a partition has two members"
        return together == ALL and (all(taken) or not self.shares)


def _is_complete(store: Store, flow: Flow) -> bool:
    """Whether the store has every record once, in order. Raises AssertionError when it cannot come to that."""
    for values in store.values:
        assert values == [b"%d" % number for number in range(len(values))]
    return [len(values) for values in store.values] == flow.written


@asynccontextmanager
async def _flow(log: Log, topic: str) -> AsyncIterator[Flow]:
    """Records that flow until they are stopped, in the end at the latest."""
    flow = Flow()
    async with asyncio.TaskGroup() as tasks:
        for partition in range(PARTITIONS):
            tasks.create_task(flow.run(log, topic, partition))
        try:
            yield flow
        finally:
            flow.stop()


@asynccontextmanager
async def _reader(engine: LogEngine, group: str, topic: str, store: Store) -> AsyncIterator[Reader]:
    """A member with a log of its own, as another process would have; it leaves in the end."""
    async with opened(engine) as log:
        reader = Reader(log, topic, await log.join(group, [topic], PARTITIONS), store)
        reading = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            await reader.member.leave()
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.result()
