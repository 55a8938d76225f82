"""The event log in memory, whole, with the failures of a real one at the test's command."""

import asyncio
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


class MemoryLog:
    """Implements `headrace.log.port.Log`.

    fail: the next appends raise it, nothing lands. gate: while cleared, appends hang before they land.
    """

    def __init__(self, max_record_bytes: int = 1_048_576) -> None:
        self.fail: LogError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.appends: list[tuple[str, int, int]] = []
        self._max_record_bytes = max_record_bytes
        self._partitions: dict[tuple[str, int], list[Record]] = {}
        self._counts: dict[str, int] = {}
        self._grown = asyncio.Condition()
        self._clock = 0

    def records(self, topic: str) -> list[Record]:
        """Everything in the topic, partition by partition."""
        return [record for place, rows in sorted(self._partitions.items()) if place[0] == topic for record in rows]

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        for topic in topics:
            if self._counts.setdefault(topic.name, partitions) != partitions:
                raise WrongTopicSettings(f"{topic.name} has {self._counts[topic.name]} partitions")
            for partition in range(partitions):
                self._partitions.setdefault((topic.name, partition), [])

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        rows = self._rows(topic, partition)
        await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        if any(record.size() > self._max_record_bytes for record in records):
            raise RecordTooLarge(f"a record is over {self._max_record_bytes} bytes")
        first = len(rows)
        self._clock += 1
        for offset, record in enumerate(records, first):
            rows.append(Record(topic, partition, offset, self._clock, record.key, record.value, record.headers))
        self.appends.append((topic, partition, len(records)))
        async with self._grown:
            self._grown.notify_all()
        return first

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        rows = self._rows(topic, partition)
        if not 0 <= offset <= len(rows):
            raise OffsetOutOfRange(f"offset {offset} is not in 0 to {len(rows)}")
        if offset == len(rows) and wait_ms:
            try:
                async with asyncio.timeout(wait_ms / 1000), self._grown:
                    await self._grown.wait_for(lambda: len(rows) > offset)
            except TimeoutError:
                return []
        return rows[offset : offset + max_records]

    async def bounds(self, topic: str, partition: int) -> Bounds:
        if self.fail is not None:
            raise self.fail
        return Bounds(0, len(self._rows(topic, partition)))

    async def join(self, group: str, topics: Sequence[str], partitions: int) -> MemoryMember:
        return MemoryMember(partitions)

    async def close(self) -> None:
        self.gate.set()

    def _rows(self, topic: str, partition: int) -> list[Record]:
        try:
            return self._partitions[topic, partition]
        except KeyError as error:
            raise UnknownTopic(f"{topic}/{partition} does not exist") from error
