"""The segmenter reads its own `cdp.segment-changes` back: what builds on what was published does so exactly once.

One follower a partition, beside the relay. A batch is one transaction: it moves the partition's position, which
fences, and holds all that the handlers write. A failure is logged and tried again; membership does not wait.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg
import structlog

from headrace.contracts.topics import SEGMENT_CHANGES
from headrace.log.port import Log, Member, OffsetOutOfRange, Record
from headrace.runtime.backlog import Backlogs
from headrace.runtime.contiguity import Verdict, judge
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.metrics import Metrics
from headrace.runtime.replaced import log_replaced
from headrace.runtime.tasks import finish
from services.segmenter.change import SOURCE
from services.segmenter.commit import Fenced
from services.segmenter.followed import Connection, FollowedChange, Handler, Undecodable, decode, numbers

__all__ = ["FollowedChange", "Follower", "Followers", "Handler"]

log = structlog.get_logger()

MAX_RECORDS = 1_000
LINGER_SECONDS = 0.1
"""How long changes gather after the first: a trickle costs few transactions."""
CHECK_SECONDS = 30.0
"""How often to look without being woken: another process may have published."""
REPORT_SECONDS = 1.0
RETRY_SECONDS = 1.0
UNDECODABLE = "undecodable"
HELP = (
    "run `headrace republish --service segmenter` from the number expected; where that is not held any more, "
    "`headrace rebuild` lets the follower go on past it"
)

_LOAD = """
    INSERT INTO follower VALUES ($1, 0, 0, 0) ON CONFLICT (partition) DO UPDATE SET partition = excluded.partition
    RETURNING epoch, seq, next_offset
"""
_MOVE = """
    UPDATE follower SET epoch = $5, seq = $6, next_offset = $7
    WHERE partition = $1 AND epoch = $2 AND seq = $3 AND next_offset = $4
    RETURNING true
"""


class Position(NamedTuple):
    """How far a partition's changes are followed: the last one's epoch and number, and the next offset."""

    epoch: int
    seq: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class FollowedTopics:
    """Full names, prefix applied."""

    changes: str
    dead_letters: str


class Followers:
    """Makes the followers of this process's partitions. `handlers` are called in their order."""

    def __init__(
        self,
        log: Log,
        pool: "asyncpg.Pool[asyncpg.Record]",
        handlers: Sequence[Handler],
        metrics: Metrics,
        topics: FollowedTopics,
        *,
        linger: float = LINGER_SECONDS,
        check: float = CHECK_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        self.log = log
        self.pool = pool
        self.handlers = tuple(handlers)
        self.metrics = metrics
        self.topics = topics
        self.linger = linger
        self.check = check
        self.retry = retry
        self.member: Member | None = None
        self.backlogs = Backlogs(log, metrics)

    def follow(self, member: Member) -> None:
        """Report positions through this member of the group (for lag tools and trimming)."""
        self.member = member

    def of(self, partition: int) -> "Follower":
        return Follower(self, partition)


class Follower:
    """Follows one partition. `wake` it when changes are published."""

    def __init__(self, of: Followers, partition: int) -> None:
        self._of = of
        self._q = partition
        self._news = asyncio.Event()
        self._stored = Position(0, 0, 0)
        self._offset = 0
        self._end = 0
        self._past_gap = False
        self._reported = -1
        self._report_at = 0.0
        self._backlog = of.backlogs.of(of.topics.changes, partition)

    def wake(self, end: int) -> None:
        """The log has changes up to, not including, offset `end`."""
        self._end = max(self._end, end)
        self._news.set()

    def skip_gap(self) -> None:
        """Go on with whatever change comes next, even if some before it are missing."""
        self._past_gap = True

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow()
            except Fenced:
                self._of.metrics.fenced.labels("follower").inc()
                log.info("follower_fenced", partition=self._q)
            except Exception as error:
                log.warning("follower_failed", partition=self._q, error=type(error).__name__, exc_info=error)
            self._backlog.work()
            await asyncio.sleep(self._of.retry)

    async def _follow(self) -> None:
        row = await self._of.pool.fetchrow(_LOAD, self._q)
        self._stored = Position(*row) if row is not None else Position(0, 0, 0)
        self._offset = self._stored.next_offset
        self._end = (await self._of.log.bounds(self._of.topics.changes, self._q)).end
        while True:
            self._news.clear()
            records = await self._read()
            if records:
                self._backlog.oldest = records[0].time
                await finish(self._take(records))
            self._backlog.at(self._offset)
            await self._report()
            if not records or self._offset >= self._end:
                await self._pause()

    async def _pause(self) -> None:
        """Wait for news, for what is to be reported, or for the time to look."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._of.check if self._offset == self._reported else self._report_at
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()
                await asyncio.sleep(self._of.linger)

    async def _read(self) -> list[Record]:
        topic = self._of.topics.changes
        try:
            return await self._of.log.read(topic, self._q, self._offset, max_records=MAX_RECORDS)
        except OffsetOutOfRange:
            bounds = await self._of.log.bounds(topic, self._q)
            if self._offset > bounds.end:  # numbers say what is missing, and it may be held still
                log_replaced(topic, self._q, self._offset, bounds)
            else:
                log.warning(
                    "follower_jumps", partition=self._q, offset=self._offset, begin=bounds.begin, end=bounds.end
                )
                self._past_gap = True
            self._offset, self._end = bounds.begin, bounds.end
            return await self._of.log.read(topic, self._q, bounds.begin, max_records=MAX_RECORDS)

    async def _take(self, records: Sequence[Record]) -> None:
        """Apply what is new among these records and move the position behind them. Raises Fenced."""
        changes, position = await self._judged(records)
        async with self._of.pool.acquire() as connection, connection.transaction():
            await self._move(connection, position)
            for handler in self._of.handlers if changes else ():
                await handler.apply(connection, changes)
        self._stored, self._offset = position, position.next_offset
        if changes:
            self._past_gap = False
            self._of.metrics.records.labels(SEGMENT_CHANGES.name, self._q).inc(len(changes))
            for handler in self._of.handlers:
                handler.committed()

    async def _move(self, connection: Connection, position: Position) -> None:
        if not await connection.fetchval(_MOVE, self._q, *self._stored, *position):
            raise Fenced(f"the follower of partition {self._q} has moved on")

    async def _judged(self, records: Sequence[Record]) -> tuple[list[FollowedChange], Position]:
        """The changes that are next, and the position behind the records. Unreadable ones are set aside."""
        epoch, seq, past_gap = self._stored.epoch, self._stored.seq, self._past_gap
        changes = []
        for record in records:
            try:
                where = numbers(record)
                verdict = judge(epoch, seq, *where)
                if verdict is Verdict.GAP and not past_gap:
                    self._gap(seq + 1, where[1])
                elif verdict in {Verdict.DUPLICATE, Verdict.STALE_EPOCH}:
                    self._of.metrics.duplicates.labels(SEGMENT_CHANGES.name).inc()
                else:
                    (epoch, seq), past_gap = where, False
                    changes.append(decode(record, *where))
            except Undecodable as error:
                await self._set_aside(record, str(error))
        return changes, Position(epoch, seq, records[-1].offset + 1)

    def _gap(self, expected: int, found: int) -> None:
        self._of.metrics.gaps.labels(SEGMENT_CHANGES.name, self._q).inc()
        log.error("sequence_gap", partition=self._q, expected=expected, found=found, help=HELP)

    async def _set_aside(self, record: Record, detail: str) -> None:
        letter = dead_letter(record, UNDECODABLE, detail, service=SOURCE, at=record.time)
        await self._of.log.append(self._of.topics.dead_letters, record.partition, [letter])
        self._of.metrics.dead_letters.labels(UNDECODABLE).inc()

    async def _report(self) -> None:
        """Tell the group how far we are, once in a while: on the embedded log that is a write to the disk."""
        now = asyncio.get_running_loop().time()
        if self._offset == self._reported or now < self._report_at:
            return
        self._reported, self._report_at = self._offset, now + REPORT_SECONDS
        if self._of.member is not None:
            await self._of.member.commit(self._of.topics.changes, self._q, self._offset)
