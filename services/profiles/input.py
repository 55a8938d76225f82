"""Reads one input partition, applies it batch by batch, sets aside what cannot be applied."""

import asyncio
import random
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from headrace.log.port import Log, Member, OffsetOutOfRange, Record
from headrace.runtime.backlog import Backlog
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.tasks import finish
from headrace.runtime.tracing import OFF, Tracing
from services.profiles.batch import Batch, Committed, Fenced, commit_batch
from services.profiles.holding import Hold
from services.profiles.identifiers_sql import Overtaken
from services.profiles.identity_rules import DEFAULT_RULES, IdentityRules
from services.profiles.intake import Incoming, Reader, Unreadable
from services.profiles.store import SERVICE, next_offset, processed_until
from services.profiles.suppression import Suppressor

log = structlog.get_logger()

FIRST_READ = 500
READ_RECORDS = 4_000
READ_BYTES = 8 * 1024 * 1024
"""What is read at once at most. A large batch costs less per event: its customers come up again in it."""
READ_WAIT_MS = 10_000
COMMIT_ATTEMPTS = 5
RETRY_SECONDS = 0.02

_CONFLICTS = (Overtaken, asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_POISON = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    TypeError,
    LookupError,
    RecursionError,
)
"""What one record can cause by its content. Anything else (a connection, a full disk) stops the partition."""

READ_AGAIN = (
    "set it right, or, where what is missing is lost, let it be read from where it begins (nothing counts twice): "
    "UPDATE profiles.{table} SET next_offset = {begin} WHERE topic = '{topic}' AND q = {q}"
)
"""What to do where a log is not the one that the store knows."""

CommittedHook = Callable[[Sequence[int]], None]


def next_room(room: int, records: Sequence[Record]) -> int:
    """How many records to read at once after `room` allowed these: twice as many while there is a backlog, as far
    as READ_RECORDS and READ_BYTES allow."""
    wanted = min(2 * room, READ_RECORDS) if len(records) == room else FIRST_READ
    size = sum(len(record.value or b"") for record in records)
    return max(1, min(wanted, READ_BYTES * len(records) // max(1, size)))


class Input:
    """One partition of one input topic. `idle_at` is the offset at which it waits for more, None while busy;
    `backlog` is told what waits."""

    def __init__(
        self,
        log: Log,
        pool: asyncpg.Pool,
        member: Member,
        metrics: Metrics,
        *,
        topic: str,
        q: int,
        partitions: int,
        read: Reader,
        dead_letters: str,
        on_commit: CommittedHook,
        rules: IdentityRules = DEFAULT_RULES,
        suppressor: Suppressor | None = None,
        on_quarantine: Callable[[], None] | None = None,
        backlog: Backlog | None = None,
        tracing: Tracing = OFF,
        hold: Hold | None = None,
    ) -> None:
        self.topic = topic
        self.q = q
        self.idle_at: int | None = None
        self.next_offset = 0
        self._room = FIRST_READ
        self._log = log
        self._pool = pool
        self._member = member
        self._metrics = metrics
        self._partitions = partitions
        self._read = read
        self._dead_letters = dead_letters
        self._on_commit = on_commit
        self._rules = rules
        self._suppressor = suppressor
        self._on_quarantine = on_quarantine
        self._backlog = backlog or Backlog()
        self._tracing = tracing
        self._hold = hold
        self._processed = metrics.records.labels(topic, q)

    async def run(self) -> None:
        """Apply the partition for ever, from the store's position on."""
        self.next_offset = await next_offset(self._pool, self.topic, self.q)
        await self._check_log()
        while True:
            records = await self._next_records()
            if records:
                if self._hold is not None:
                    await self._hold.wait(records)
                try:
                    with self._tracing.consuming(self.topic, self.q, records):
                        await self._apply(records)
                except Fenced:
                    self._metrics.fenced.labels(SERVICE).inc()
                    self.next_offset = await next_offset(self._pool, self.topic, self.q)

    async def _check_log(self) -> None:
        """Is this the log that we have read so far? One that was made anew may have as many records by now: going
        on in its middle would skip those before. Raises PartitionHalted."""
        bounds = await self._log.bounds(self.topic, self.q)
        stands = f"{self.topic} {self.q} holds offsets {bounds.begin} to {bounds.end}, Postgres stands at"
        help = READ_AGAIN.format(table="input", begin=bounds.begin, topic=self.topic, q=self.q)
        if not bounds.begin <= self.next_offset <= bounds.end:
            raise PartitionHalted(
                f"{stands} {self.next_offset}: the log was trimmed or replaced, or the restored backup is "
                f"older than what the log keeps; {help}"
            )
        if self.next_offset == bounds.begin:
            return
        until = await processed_until(self._pool, self.topic, self.q)
        last = await self._log.read(self.topic, self.q, self.next_offset - 1, max_records=1)
        if last and last[0].time > until:
            raise PartitionHalted(
                f"{stands} {self.next_offset}, but the record before is younger than all it has processed: the "
                f"log was replaced; {help}"
            )

    async def _next_records(self) -> list[Record]:
        failpoint("before_read")
        self.idle_at = self.next_offset
        self._backlog.at(self.next_offset)
        try:
            records = await self._log.read(
                self.topic, self.q, self.next_offset, max_records=self._room, wait_ms=READ_WAIT_MS
            )
        except OffsetOutOfRange as error:
            raise PartitionHalted(str(error)) from error
        finally:
            self.idle_at = None
        if records:
            failpoint("after_read")
            self._backlog.oldest = records[0].time
            self._room = next_room(self._room, records)
        return records

    async def _apply(self, records: Sequence[Record]) -> None:
        incoming: list[tuple[int, Incoming]] = []
        for index, record in enumerate(records):
            try:
                incoming.append((index, self._read(record)))
            except Unreadable as error:
                await self._set_aside(record, error.reason, str(error))
        times = [record.time for record in records]
        await self._commit(Batch(self.topic, self.q, records[0].offset, times, incoming), records)
        self._processed.inc(len(records))
        await self._member.commit(self.topic, self.q, self.next_offset)

    async def _commit(self, batch: Batch, records: Sequence[Record]) -> None:
        """Commit; halve a batch that fails for its content until the guilty record is found."""
        try:
            committed = await self._attempt(batch)
        except _POISON as error:
            if len(records) > 1:
                cut = len(records) // 2
                first, second = batch.split(cut)
                await self._commit(first, records[:cut])
                await self._commit(second, records[cut:])
                return
            log.warning("record_refused", topic=self.topic, partition=self.q, offset=records[0].offset)
            await self._set_aside(records[0], "unprocessable", f"{type(error).__name__} while applying it")
            committed = await self._attempt(batch.skipping_all())
        self.next_offset = batch.next_offset
        self._count(committed)
        self._on_commit(committed.touched)

    async def _attempt(self, batch: Batch) -> Committed:
        for attempt in range(1, COMMIT_ATTEMPTS):
            try:
                return await self._once(batch)
            except _CONFLICTS:
                await asyncio.sleep(RETRY_SECONDS * attempt * (1 + random.random()))  # noqa: S311
        return await self._once(batch)

    async def _once(self, batch: Batch) -> Committed:
        self._backlog.work()
        return await finish(commit_batch(self._pool, batch, self._partitions, self._rules, self._suppressor))

    def _count(self, committed: Committed) -> None:
        if committed.duplicates:
            self._metrics.duplicate_events.labels("true").inc(committed.conflicts)
            self._metrics.duplicate_events.labels("false").inc(committed.duplicates - committed.conflicts)
        self._metrics.merges.inc(committed.merges)
        self._metrics.suppressed.inc(committed.suppressed)
        if committed.quarantined:
            self._metrics.quarantined.inc(committed.quarantined)
            log.warning("identifiers_quarantined", topic=self.topic, partition=self.q, count=committed.quarantined)
            if self._on_quarantine is not None:
                self._on_quarantine()

    async def _set_aside(self, record: Record, reason: str, detail: str) -> None:
        letter = dead_letter(record, reason, detail, service=SERVICE, at=record.time)
        await self._log.append(self._dead_letters, record.partition, [letter])
        self._metrics.dead_letters.labels(reason).inc()
