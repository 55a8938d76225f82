"""Reads one partition of `cdp.computed-traits`. It writes no rows, so it is no part of time: the ticker does not
know of it, and its position stands apart from the other inputs'."""

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import structlog

from headrace.log.port import Log, Member, OffsetOutOfRange, Record
from headrace.runtime.backlog import Backlog
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.tasks import finish
from services.profiles.batch import Fenced
from services.profiles.computed import Change, read_change
from services.profiles.computed_sql import commit_computed, side_offset
from services.profiles.input import COMMIT_ATTEMPTS, READ_AGAIN, READ_WAIT_MS, RETRY_SECONDS
from services.profiles.intake import Unreadable
from services.profiles.store import SERVICE

log = structlog.get_logger()

READ_RECORDS = 1_000

_POISON = (asyncpg.DataError, ValueError)
"""What one record can cause by its content."""


class ComputedInput:
    """One partition of the topic, applied batch by batch."""

    def __init__(
        self,
        log: Log,
        pool: asyncpg.Pool,
        member: Member,
        metrics: Metrics,
        *,
        topic: str,
        q: int,
        dead_letters: str,
        backlog: Backlog | None = None,
    ) -> None:
        self.topic = topic
        self.q = q
        self.next_offset = 0
        self._log = log
        self._pool = pool
        self._member = member
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._backlog = backlog or Backlog()

    async def run(self) -> None:
        """Apply the partition for ever, from the store's position on."""
        self.next_offset = await side_offset(self._pool, self.topic, self.q)
        bounds = await self._log.bounds(self.topic, self.q)
        if self.next_offset > bounds.end:
            help = READ_AGAIN.format(table="side_input", begin=bounds.begin, topic=self.topic, q=self.q)
            raise PartitionHalted(
                f"{self.topic} {self.q} ends at {bounds.end}, Postgres is ahead: the log was replaced; {help}"
            )
        while True:
            records = await self._read()
            if not records:
                continue
            try:
                await self._apply(records)
            except Fenced:
                self._metrics.fenced.labels(SERVICE).inc()
                self.next_offset = await side_offset(self._pool, self.topic, self.q)

    async def _read(self) -> Sequence[Record]:
        failpoint("before_read")
        self._backlog.at(self.next_offset)
        try:
            return await self._log.read(
                self.topic, self.q, self.next_offset, max_records=READ_RECORDS, wait_ms=READ_WAIT_MS
            )
        except OffsetOutOfRange as error:
            raise PartitionHalted(str(error)) from error

    async def _apply(self, records: Sequence[Record]) -> None:
        failpoint("after_read")
        self._backlog.oldest = records[0].time
        changes = []
        for record in records:
            try:
                changes.append((record, read_change(record)))
            except Unreadable as error:
                await self._set_aside(record, error.reason, str(error))
        await self._commit(records, changes)
        self._metrics.records.labels(self.topic, self.q).inc(len(records))
        await self._member.commit(self.topic, self.q, self.next_offset)

    async def _commit(self, records: Sequence[Record], changes: Sequence[tuple[Record, Change]]) -> None:
        """Commit; halve what Postgres refuses for its content until the guilty record is found."""
        offsets = range(records[0].offset, records[-1].offset + 1)
        try:
            await self._attempt(offsets, [change for _, change in changes])
        except _POISON as error:
            if len(records) > 1:
                cut = records[len(records) // 2].offset
                for part in (range(offsets.start, cut), range(cut, offsets.stop)):
                    await self._commit(
                        [one for one in records if one.offset in part],
                        [one for one in changes if one[0].offset in part],
                    )
                return
            log.warning("record_refused", topic=self.topic, partition=self.q, offset=offsets.start)
            await self._set_aside(records[0], "unprocessable", f"{type(error).__name__} while applying it")
            await self._attempt(offsets, [])
        self.next_offset = offsets.stop

    async def _attempt(self, offsets: range, changes: Sequence[Change]) -> None:
        for attempt in range(1, COMMIT_ATTEMPTS):
            try:
                await finish(commit_computed(self._pool, self.topic, self.q, offsets, changes))
                return
            except asyncpg.DeadlockDetectedError:
                await asyncio.sleep(RETRY_SECONDS * attempt * (1 + random.random()))  # noqa: S311
        await finish(commit_computed(self._pool, self.topic, self.q, offsets, changes))

    async def _set_aside(self, record: Record, reason: str, detail: str) -> None:
        letter = dead_letter(record, reason, detail, service=SERVICE, at=record.time)
        await self._log.append(self._dead_letters, record.partition, [letter])
        self._metrics.dead_letters.labels(reason).inc()
