"""The event log in memory, whole, with the failures of a real one at the test's command."""

import asyncio
import time
from collections.abc import Sequence

from headrace.contracts.topics import Topic
from headrace.log.port import (
    Bounds,
    LogError,
    NewRecord,
    OffsetOutOfRange,
    Record,
    RecordTooLarge,
    UnknownTopic,
    WrongTopicSettings,
)


class MemoryMember:
    """The only member of its group: it has every partition until it leaves."""

    def __init__(self, partitions: int) -> None:
        self._assigned = frozenset(range(partitions))
        self._left = asyncio.Event()
        self.committed: dict[tuple[str, int], int] = {}

    def assigned(self) -> frozenset[int]:
        return self._assigned

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        if known == self._assigned:
            await self._left.wait()
        return self._assigned

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        place = (topic, partition)
        self.committed[place] = max(next_offset, self.committed.get(place, 0))

    async def leave(self) -> None:
        self._assigned = frozenset()
        self._left.set()


class MemoryServer:
    """What the logs of one engine share."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[str, int], list[Record]] = {}
        self.counts: dict[str, int] = {}
        self.grown = asyncio.Condition()


class MemoryLog:
    """Implements `headrace.log.port.Log`; its members do not know each other.

    fail: the next appends raise it, nothing lands. gate: while cleared, appends hang before they land.
    """

    def __init__(self, server: MemoryServer | None = None, max_record_bytes: int = 1_048_576) -> None:
        self.fail: LogError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.appends: list[tuple[str, int, int]] = []
        self._max_record_bytes = max_record_bytes
        self._server = server or MemoryServer()

    def records(self, topic: str) -> list[Record]:
        """Everything in the topic, partition by partition."""
        return [
            record
            for place, rows in sorted(self._server.partitions.items())
            if place[0] == topic
            for record in rows
        ]

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        for topic in topics:
            if self._server.counts.setdefault(topic.name, partitions) != partitions:
                raise WrongTopicSettings(f"{self._server.counts[topic.name]} partitions, not {partitions}")
            for partition in range(partitions):
                self._server.partitions.setdefault((topic.name, partition), [])

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        rows = self._rows(topic, partition)
        await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        if any(record.size() > self._max_record_bytes for record in records):
            raise RecordTooLarge(f"the limit is {self._max_record_bytes} bytes")
        first = len(rows)
        now = time.time_ns() // 1_000_000
        for offset, record in enumerate(records, first):
            rows.append(Record(topic, partition, offset, now, record.key, record.value, record.headers))
        self.appends.append((topic, partition, len(records)))
        async with self._server.grown:
            self._server.grown.notify_all()
        return first

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        rows = self._rows(topic, partition)
        if not 0 <= offset <= len(rows):
            raise OffsetOutOfRange(f"offset {offset} is not in 0 to {len(rows)}")
        if offset == len(rows) and wait_ms:
            try:
                async with asyncio.timeout(wait_ms / 1000), self._server.grown:
                    await self._server.grown.wait_for(lambda: len(rows) > offset)
            except TimeoutError:
                return []
        return rows[offset : offset + max_records]

    async def bounds(self, topic: str, partition: int) -> Bounds:
        if self.fail is not None:
            raise self.fail
        return Bounds(0, len(self._rows(topic, partition)))

    async def erase(self, topic: str, partition: int, offsets: Sequence[int]) -> bool:
        rows = self._rows(topic, partition)
        for offset in offsets:
            rows[offset] = Record(topic, partition, offset, rows[offset].time, None, None, ())
        return True

    async def join(self, group: str, topics: Sequence[str], partitions: int) -> MemoryMember:
        return MemoryMember(partitions)

    async def close(self) -> None:
        self.gate.set()

    def _rows(self, topic: str, partition: int) -> list[Record]:
        try:
            return self._server.partitions[topic, partition]
        except KeyError as error:
            raise UnknownTopic(f"{topic}/{partition} does not exist: run `headrace topics create`") from error
