"""After a restore the ledger reads from `cdp.messages` what it has forgotten, before anything is applied or sent
(DESIGN §4.3): which messages were sent since the backup, and which codes were given.

Only one process works at a time, the others wait. Safe to repeat: who follows a process that died reads again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import asyncpg
import msgspec
import structlog

from headrace.contracts.customer_update import CustomerUpdate, MessageRecord
from headrace.contracts.errors import HeadraceError
from headrace.contracts.headers import EPOCH, SEQ, header
from headrace.contracts.message import MessageOutcome
from headrace.log.port import Log, LogError, Record
from headrace.runtime.metrics import Metrics
from services.messenger.definitions import Definitions
from services.messenger.recovered import Fate, heard
from services.messenger.store import Connection, Pool
from services.messenger.voucher_refill import given_again

log = structlog.get_logger()

_RETRY_SECONDS = 1.0
_HALTED_SECONDS = 30.0
_PATIENCE_SECONDS = 3_600.0
"""What concerns the whole ledger may take long."""
_decoder: msgspec.json.Decoder[MessageRecord] = msgspec.json.Decoder(MessageRecord)
_plain = msgspec.json.Decoder(MessageOutcome)


class OutcomesLost(HeadraceError):
    """The log no longer holds what was sent since the backup."""

    def __init__(self, partition: int, reason: str) -> None:
        self.partition = partition
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Backup:
    """What the restored database says of a partition: the epoch it was made in, that of now, the last number given
    out, and from where the log may hold more."""

    epoch: int
    now: int
    last_seq: int
    next_offset: int

    def forgot(self, record: Record) -> bool:
        epoch, seq = header(record.headers, EPOCH) or b"", header(record.headers, SEQ) or b""
        if not (epoch.isdigit() and seq.isdigit()):
            return False
        return int(epoch) < self.now and (int(epoch), int(seq)) > (self.epoch, self.last_seq)


class Refill:
    """`done` is set when the ledger knows what the log knows: at once, where nothing was restored."""

    def __init__(
        self, pool: Pool, log: Log, definitions: Definitions, metrics: Metrics, *, topic: str, partitions: int
    ) -> None:
        self._metrics = metrics
        self._pool = pool
        self._log = log
        self._definitions = definitions
        self._topic = topic
        self._partitions = partitions
        self.done = asyncio.Event()

    async def wait(self) -> None:
        """Refill, or wait for whoever does. Where that cannot be, raise the alarm and wait for help."""
        while not self.done.is_set():
            pause = _RETRY_SECONDS
            try:
                if await self.run():
                    self.done.set()
                    return
            except OutcomesLost as error:
                self._metrics.halted.labels(error.partition).set(1)
                log.error("refill_halted", partition=error.partition, reason=str(error))
                pause = _HALTED_SECONDS
            except (LogError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("refill_waits", error=type(error).__name__)
            await asyncio.sleep(pause)

    async def run(self) -> bool:
        """False when another process is at it. Raises OutcomesLost."""
        if await self._pool.fetchval(_REFILLED):
            return True
        async with self._pool.acquire() as connection:
            if not await connection.fetchval(_LOCK):
                return False
            try:
                await self._refill(connection)
            finally:
                await connection.execute(_UNLOCK)
        return True

    async def _refill(self, connection: Connection) -> None:
        if await connection.fetchval(_REFILLED):
            return
        found = 0
        for partition in range(self._partitions):
            found += await self._partition(connection, partition)
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(_KNOWN, timeout=_PATIENCE_SECONDS)
            waiting = await connection.fetchval(_DOUBT, timeout=_PATIENCE_SECONDS)
            await connection.execute(_DONE)
        log.warning("refilled", outcomes=found, in_doubt=waiting)

    async def _partition(self, connection: Connection, partition: int) -> int:
        """How many outcomes and updates of the partition the backup did not know."""
        row = await connection.fetchrow(_BACKUP, partition)
        assert row is not None  # a start makes both
        backup = _Backup(*row)
        bounds = await self._log.bounds(self._topic, partition)
        if backup.next_offset < bounds.begin:
            raise OutcomesLost(
                partition,
                f"{self._topic}/{partition} begins at {bounds.begin}, the backup stands at {backup.next_offset}: "
                "nobody knows any more what was sent in between. Restore a newer backup",
            )
        offset, found = backup.next_offset, 0
        while offset < bounds.end:
            records = await self._log.read(self._topic, partition, offset)
            if not records:
                break
            told = [one for record in records if backup.forgot(record) and (one := _decoded(record)) is not None]
            async with connection.transaction():
                await _remember(connection, [one for one in told if isinstance(one, MessageOutcome)])
                updates = [one for one in told if isinstance(one, CustomerUpdate)]
                await given_again(connection, self._definitions, updates)
            found += len(told)
            offset = records[-1].offset + 1
        return found


async def _remember(connection: Connection, outcomes: Iterable[MessageOutcome]) -> None:
    told = list(outcomes)
    rows = await connection.fetch(_FATES, sorted({one.id for one in told})) if told else []
    fates = {row["message_id"]: Fate(*row) for row in rows}
    for one in told:
        fates[one.id] = heard(fates.get(one.id), one)
    if told:
        changed: Sequence[Fate] = [fates[key] for key in sorted({one.id for one in told})]
        await connection.execute(_KEEP, *zip(*map(astuple, changed), strict=True))


def _decoded(record: Record) -> MessageRecord | None:
    """An outcome without `kind` is one from before there were updates. What cannot be read is no news."""
    for decoder in (_decoder, _plain):
        try:
            return decoder.decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
    return None


_REFILLED = "SELECT refilled FROM store"
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('headrace.messenger.refill', 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('headrace.messenger.refill', 0))"
_BACKUP = """
    SELECT store.restored_from, store.epoch, counter.last_seq, coalesce(published.next_offset, 0)
    FROM store, outcome_counter counter LEFT JOIN outcome_published published USING (partition)
    WHERE partition = $1
"""
_COLUMNS = """message_id, status, reason, provider, provider_message_id, sent_at, settled_at, delivered_at,
    opened_at, machine_opened_at, clicked_at, unsubscribed_at, complained_at"""
_FATES = f"SELECT {_COLUMNS} FROM recovered WHERE message_id = ANY($1::text[])"  # noqa: S608
_KEEP = f"""
    INSERT INTO recovered ({_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
    ON CONFLICT (message_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
        provider = excluded.provider, provider_message_id = excluded.provider_message_id,
        sent_at = excluded.sent_at, settled_at = excluded.settled_at, delivered_at = excluded.delivered_at,
        opened_at = excluded.opened_at, machine_opened_at = excluded.machine_opened_at,
        clicked_at = excluded.clicked_at, unsubscribed_at = excluded.unsubscribed_at,
        complained_at = excluded.complained_at, applied_at = NULL
"""  # noqa: S608
_KNOWN = "UPDATE recovered r SET known = true FROM message m WHERE m.id = r.message_id AND r.applied_at IS NULL"
# What waited in the backup, and what a process was sending: until the restore it may have been sent. What was to
# wait beyond it cannot have been.
_DOUBT = """
    WITH doubted AS (
        UPDATE message m SET status = 'claimed', reason = 'restored',
            claimed_at = coalesce(m.claimed_at, m.ready_at)
        FROM store
        WHERE m.status = 'claimed' OR m.status = 'pending' AND (
            m.due_at <= store.restored_at OR m.reason = 'process_gone'
            OR EXISTS (SELECT FROM recovered r WHERE r.message_id = m.id AND r.status IS NOT NULL))
        RETURNING 1)
    SELECT count(*) FROM doubted
"""
_DONE = "UPDATE store SET refilled = true"
