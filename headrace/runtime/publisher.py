"""The relay from a store's outbox to a topic: in order, one acknowledged batch at a time (DESIGN §4.2)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from headrace.contracts.errors import HeadraceError
from headrace.contracts.headers import EPOCH, POSITION, SEQ, header
from headrace.log.port import MAX_BATCH_BYTES, Bounds, Log, NewRecord
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.replaced import log_replaced

# what a log adds to a record, at most: numbers, lengths of the headers
_ROOM_PER_RECORD = 256


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """A committed output: its dense number, its position (`headrace-position`) and the finished record."""

    seq: int
    position: str
    record: NewRecord


@dataclass(frozen=True, slots=True)
class Published:
    """How far an output partition is published: the last number and position, and the log offset behind them."""

    epoch: int
    seq: int
    position: str
    next_offset: int


class NotHeld(HeadraceError):
    """The outbox holds no more what is to be published again."""


class RepublishInterrupted(HeadraceError):
    """The relay ended before everything was published again. Repeat it."""


class Outbox(Protocol):
    """One output topic of one store. Called by the partition's owner only, one call at a time per partition."""

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        """Committed outputs with seq > `after`, ascending and dense from `after` + 1; at most `limit`."""
        ...

    async def published(self, partition: int) -> Published:
        """What was last stored by `mark`; seq 0 and next_offset 0 if never. `epoch` is the store's own, now."""
        ...

    async def mark(self, partition: int, published: Published) -> None:
        """Store how far publishing has come. Never lowers it."""
        ...


class Relay:
    """Publishes one output partition. `wake` it after every commit; it also looks by itself every `poll` s:
    another process may have committed."""

    def __init__(
        self,
        log: Log,
        outbox: Outbox,
        *,
        topic: str,
        partition: int,
        metrics: Metrics,
        batch: int = 500,
        poll: float = 1.0,
    ) -> None:
        self._log = log
        self._outbox = outbox
        self._topic = topic
        self._partition = partition
        self._batch = batch
        self._poll = poll
        self._news = asyncio.Event()
        self._rows = False
        self._count = metrics.published.labels(topic)
        self._state: Published | None = None
        self._follower: tuple[int, NewRecord] | None = None
        self._again: list[tuple[int, asyncio.Future[int]]] = []
        self._ended = False

    @property
    def published(self) -> Published | None:
        """How far this partition is known to be published, followers included; None while not known."""
        return self._state

    def wake(self) -> None:
        """Rows were committed."""
        self._rows = True
        self._news.set()

    def follow(self, seq: int, record: NewRecord) -> None:
        """Append `record`, which has no number of its own (a tick), right behind row `seq`. It is dropped when
        a later row is published first, or another follower comes."""
        self._follower = (seq, record)
        self._news.set()

    async def republish(self, from_seq: int) -> int:
        """Append the rows from `from_seq` up to the last one again, as they were; return how many. New rows wait
        and follow in order. Raises NotHeld, or RepublishInterrupted when the relay ends first."""
        if self._ended:
            raise RepublishInterrupted("the partition's relay is starting anew; repeat the request")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._again.append((from_seq, done))
        self._news.set()
        return await done

    async def run(self) -> None:
        """Publish for ever. Any error ends it: the next run finds out from the log where to go on. Raises
        PartitionHalted when the outbox has a hole: what is lost must not be skipped silently."""
        self._ended = False
        try:
            await self._run()
        finally:
            self._ended = True
            self._interrupt()

    async def _run(self) -> None:
        self._state = None  # another owner may have published since
        clock = asyncio.get_running_loop().time
        look_at = clock()
        while True:
            self._news.clear()
            await self._republish()
            if self._rows or self._follower_is_ahead() or clock() >= look_at:
                self._rows = False
                look_at = clock() + self._poll
                await self.drain()
            await self._append_follower()
            # not wait_for: on Python 3.11 it loses a cancellation that meets a wake
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at):
                    await self._news.wait()

    async def drain(self) -> int:
        """Publish all that is committed now; return how many records. Resumes after the highest number found
        at the end of the log or stored, whoever sent it."""
        if self._state is None:
            self._state = await self._resume()
        total = 0
        while True:
            found = await self._outbox.pending(self._partition, self._state.seq, self._batch)
            if not found:
                return total
            self._check_dense(found, self._state.seq)
            rows = _fitting(found)
            failpoint("before_publish")
            try:
                offset = await self._log.append(self._topic, self._partition, [row.record for row in rows])
                failpoint("after_publish")
            except BaseException:
                self._state = None  # it may have landed: look again
                raise
            if offset < self._state.next_offset:
                log_replaced(
                    self._topic, self._partition, self._state.next_offset, Bounds(offset, offset + len(rows))
                )
            self._state = Published(self._state.epoch, rows[-1].seq, rows[-1].position, offset + len(rows))
            failpoint("before_mark")
            await self._outbox.mark(self._partition, self._state)
            failpoint("after_mark")
            self._count.inc(len(rows))
            total += len(rows)
            if len(rows) == len(found) < self._batch:
                return total

    def _check_dense(self, rows: Sequence[OutboxRecord], last: int) -> None:
        for expected, row in enumerate(rows, last + 1):
            if row.seq != expected:
                raise PartitionHalted(
                    f"the outbox of {self._topic}/{self._partition} has no {expected}, "
                    f"it goes on with {row.seq}: restore it, or start a new epoch"
                )

    def _follower_is_ahead(self) -> bool:
        """Its row is committed and not yet published: another process committed it."""
        return self._follower is not None and (self._state is None or self._follower[0] > self._state.seq)

    async def _republish(self) -> None:
        while self._again:
            from_seq, done = self._again[0]
            outcome = await self._rewound(from_seq)
            del self._again[0]
            if done.cancelled():
                continue
            if isinstance(outcome, NotHeld):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)

    async def _rewound(self, from_seq: int) -> int | NotHeld:
        """Go back to `from_seq`, and publish from there as if for the first time."""
        if self._state is None:
            self._state = await self._resume()
        last, where = self._state.seq, f"{self._topic}/{self._partition}"
        if from_seq > last:
            return 0
        rows = await self._outbox.pending(self._partition, from_seq - 1, 1)
        if not rows or rows[0].seq > last:
            return NotHeld(f"nothing of what was published to {where} (up to {last}) is held any more")
        if rows[0].seq != from_seq:
            return NotHeld(f"of what was published to {where}, only {rows[0].seq} to {last} is held still")
        self._state = replace(self._state, seq=from_seq - 1)
        try:
            return await self.drain()
        except BaseException:
            self._state = None  # it stands where it was asked back to
            raise

    def _interrupt(self) -> None:
        for _, done in self._again:
            if not done.done():
                done.set_exception(RepublishInterrupted("the log or the store did not answer; repeat the request"))
        self._again.clear()

    async def _append_follower(self) -> None:
        state, follower = self._state, self._follower
        if state is None or follower is None or follower[0] > state.seq:
            return
        self._follower = None
        if follower[0] < state.seq:
            return
        self._state = None  # until it is known to have landed
        offset = await self._log.append(self._topic, self._partition, [follower[1]])
        self._state = replace(state, next_offset=offset + 1)

    async def _resume(self) -> Published:
        stored = await self._outbox.published(self._partition)
        found = await last_published(self._log, self._topic, self._partition, stored)
        if found != stored:
            await self._outbox.mark(self._partition, found)
        return found


def _fitting(rows: Sequence[OutboxRecord]) -> Sequence[OutboxRecord]:
    """As many of the first rows as one append takes, at least one."""
    size = 0
    for count, row in enumerate(rows):
        size += row.record.size() + _ROOM_PER_RECORD
        if count and size > MAX_BATCH_BYTES:
            return rows[:count]
    return rows


async def last_published(log: Log, topic: str, partition: int, stored: Published) -> Published:
    """The greatest number of the store's epoch at the end of the log or stored, with its position."""
    bounds = await log.bounds(topic, partition)
    if stored.next_offset > bounds.end:
        log_replaced(topic, partition, stored.next_offset, bounds)
    offset = max(bounds.begin, min(stored.next_offset, bounds.end))
    seq, position = stored.seq, stored.position
    while offset < bounds.end:
        records = await log.read(topic, partition, offset)
        if not records:
            break
        for record in records:
            number, where = _number(record.headers, stored.epoch)
            if number > seq:
                seq, position = number, where
        offset = records[-1].offset + 1
    return Published(stored.epoch, seq, position, offset)


def _number(headers: Sequence[tuple[str, bytes]], epoch: int) -> tuple[int, str]:
    if int(header(headers, EPOCH) or 0) != epoch:
        return 0, ""
    return int(header(headers, SEQ) or 0), (header(headers, POSITION) or b"").decode()
