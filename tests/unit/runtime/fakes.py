"""A group member whose assignment the test moves, and an outbox in memory."""

import asyncio
from collections.abc import Sequence

from headrace.contracts.headers import store_output
from headrace.log.port import NewRecord
from headrace.runtime.publisher import OutboxRecord, Published


class FakeMember:
    """See `headrace.log.port.Member`."""

    def __init__(self) -> None:
        self._assigned: frozenset[int] = frozenset()
        self._moved = asyncio.Event()
        self.broken: Exception | None = None

    def assign(self, *partitions: int) -> None:
        self._assigned = frozenset(partitions)
        self._moved.set()

    def assigned(self) -> frozenset[int]:
        return self._assigned

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        while self._assigned == known:
            self._moved.clear()
            await self._moved.wait()
        return self._assigned

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        """Nobody asks."""

    async def leave(self) -> None:
        self.assign()


class MemoryOutbox:
    """See `headrace.runtime.publisher.Outbox`; one partition. `fail_marks`: how many marks raise."""

    def __init__(self, epoch: int = 1) -> None:
        self.rows: list[OutboxRecord] = []
        self.stored = Published(epoch, 0, "", 0)
        self.fail_marks = 0
        self.asked = asyncio.Event()

    def add(self, count: int) -> None:
        """Commit `count` more outputs."""
        for seq in range(len(self.rows) + 1, len(self.rows) + count + 1):
            self.rows.append(output(seq, self.stored.epoch))

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        self.asked.set()
        return [row for row in self.rows if row.seq > after][:limit]

    async def published(self, partition: int) -> Published:
        return self.stored

    async def mark(self, partition: int, published: Published) -> None:
        if self.fail_marks:
            self.fail_marks -= 1
            raise ConnectionError("the store is away")
        if published.seq >= self.stored.seq:
            self.stored = published


def output(seq: int, epoch: int) -> OutboxRecord:
    position = f"row-{seq}"
    headers = store_output(source="test", epoch=epoch, seq=seq, position=position)
    return OutboxRecord(seq, position, NewRecord(b"key", b"%d" % seq, headers))
