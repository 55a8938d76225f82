"""Group commit: requests that arrive while an append is under way share the next one.

A log acknowledges a batch as fast as a single record, so each partition has one append in flight, and what
comes meanwhile waits together. Every request is answered only for its own records, once they are durable.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial

from headrace.log.port import Log, NewRecord, RecordTooLarge
from headrace.runtime.failpoints import failpoint

MAX_RECORDS = 1_000
MAX_BYTES = 512 * 1024
OVERHEAD_BYTES = 300  # key and headers of a record, roughly


class Appender:
    """Appends to one topic. Bounded by its callers: each holds its own bytes in the budget while it waits."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._lanes: dict[int, _Lane] = {}

    def append(self, groups: Mapping[int, Sequence[NewRecord]]) -> "list[asyncio.Future[None]]":
        """Queue each partition's records; the futures end when they are durable, or with the log's error.

        A future that is cancelled, or given an error, takes records out that are not on their way yet; those that
        are may land.
        """
        return [
            future for partition, records in groups.items() for future in self._lane(partition).submit(records)
        ]

    def _lane(self, partition: int) -> "_Lane":
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane(self._log, self._topic, partition)
        return lane

    async def close(self) -> None:
        """Let what is queued reach the log. Idempotent."""
        await asyncio.gather(*(lane.task for lane in self._lanes.values() if lane.task), return_exceptions=True)


class _Entry:
    __slots__ = ("future", "records", "size")

    def __init__(self, records: Sequence[NewRecord], size: int, future: "asyncio.Future[None]") -> None:
        self.records = records
        self.size = size
        self.future = future


class _Lane:
    """One partition: a queue and at most one append in flight."""

    def __init__(self, log: Log, topic: str, partition: int) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._queue: OrderedDict[_Entry, None] = OrderedDict()
        self.task: asyncio.Task[None] | None = None

    def submit(self, records: Sequence[NewRecord]) -> "list[asyncio.Future[None]]":
        loop = asyncio.get_running_loop()
        futures = []
        for chunk, size in _chunks(records):
            entry = _Entry(chunk, size, loop.create_future())
            entry.future.add_done_callback(partial(self._forget, entry))
            self._queue[entry] = None
            futures.append(entry.future)
        if self.task is None or self.task.done():
            self.task = loop.create_task(self._run(), name=f"append-{self._topic}-{self._partition}")
        return futures

    def _forget(self, entry: _Entry, _: "asyncio.Future[None]") -> None:
        """Free the records of a request that was given up at once, even while the append before them hangs."""
        self._queue.pop(entry, None)

    async def _run(self) -> None:
        while self._queue:
            entries = self._take()
            try:
                await self._append(entries)
            except RecordTooLarge as error:
                await self._append_apart(entries, error)
            except Exception as error:
                _fail(entries, error)

    def _take(self) -> list[_Entry]:
        """The oldest entries, as many as fit into one append and at least one."""
        taken: list[_Entry] = []
        count = size = 0
        for entry in self._queue:
            count += len(entry.records)
            size += entry.size
            if taken and (count > MAX_RECORDS or size > MAX_BYTES):
                break
            taken.append(entry)
        for entry in taken:
            del self._queue[entry]
        return taken

    async def _append(self, entries: Sequence[_Entry]) -> None:
        records = entries[0].records
        if len(entries) > 1:
            records = [record for entry in entries for record in entry.records]
        failpoint("before_append")
        await self._log.append(self._topic, self._partition, records)
        failpoint("after_append")
        for entry in entries:
            if not entry.future.done():
                entry.future.set_result(None)

    async def _append_apart(self, entries: Sequence[_Entry], error: RecordTooLarge) -> None:
        """One request's oversized record must not fail its neighbours."""
        if len(entries) == 1:
            _fail(entries, error)
            return
        for entry in entries:
            try:
                await self._append([entry])
            except Exception as own_error:
                _fail([entry], own_error)


def _fail(entries: Sequence[_Entry], error: Exception) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(error)


def _chunks(records: Sequence[NewRecord]) -> "list[tuple[Sequence[NewRecord], int]]":
    """Records in pieces that fit into one append each, with their bytes."""
    whole = sum([len(record.value or b"") for record in records]) + OVERHEAD_BYTES * len(records)
    if 0 < len(records) <= MAX_RECORDS and whole <= MAX_BYTES:
        return [(records, whole)]
    chunks: list[tuple[Sequence[NewRecord], int]] = []
    piece: list[NewRecord] = []
    size = 0
    for record in records:
        weight = len(record.value or b"") + OVERHEAD_BYTES
        if piece and (len(piece) == MAX_RECORDS or size + weight > MAX_BYTES):
            chunks.append((piece, size))
            piece, size = [], 0
        piece.append(record)
        size += weight
    if piece:
        chunks.append((piece, size))
    return chunks
