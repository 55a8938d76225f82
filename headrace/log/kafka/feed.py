"""What was fetched of one partition and not yet read."""

import asyncio
from collections import deque

from headrace.log.port import Record


class Feed:
    """Records from `begin` to `position` (excluded), which is where the next fetch goes on. Compaction leaves
    holes between them, and before the first."""

    def __init__(self, position: int) -> None:
        self.begin = position
        self.position = position
        self.size = 0
        self.readers = 0
        self.read_at = 0.0
        self.moved_at = 0.0
        self.hole: tuple[int, int] | None = None
        self.paused = False
        self.error: Exception | None = None
        self._records: deque[Record] = deque()
        self._news = asyncio.Event()

    def has(self, offset: int) -> bool:
        """Whether a reader at `offset` is served from here, now or by the next fetch."""
        return self.begin <= offset <= self.position

    def add(self, records: list[Record]) -> None:
        self._records.extend(records)
        self.position = records[-1].offset + 1
        self.size += sum(weight(record) for record in records)
        self.wake()

    def fail(self, error: Exception) -> None:
        """Let the readers have the error instead of records."""
        self.error = error
        self.wake()

    def aim(self, offset: int) -> None:
        """Forget what was fetched and go on at `offset`."""
        self._records.clear()
        self.size = 0
        self.begin = self.position = offset
        self.hole = None
        self.error = None

    def take(self, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on. Those before it are forgotten; those taken are kept until a
        read behind them: the reader may have to read them again."""
        while self._records and self._records[0].offset < offset:
            forgotten = self._records.popleft()
            self.begin = forgotten.offset + 1
            self.size -= weight(forgotten)
        return [record for record, _ in zip(self._records, range(limit), strict=False)]

    async def changed(self) -> None:
        """Wait for records or an error."""
        await self._news.wait()

    def wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def weight(record: Record) -> int:
    """Bytes that a record holds in memory, roughly."""
    return 400 + 200 * len(record.headers) + len(record.key or b"") + len(record.value or b"")
