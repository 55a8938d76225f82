"""After a restore, people who were erased since the backup are there again: the log says who, and they are erased
again, before anything is processed (the rights in docs/privacy.md)."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from headrace.contracts.headers import EPOCH, SEQ, header
from headrace.log.port import Log, LogError, OffsetOutOfRange, Record
from services.profiles.erasure import erase
from services.profiles.merging import NOW
from services.profiles.suppression import Suppressor

log = structlog.get_logger()

_RETRY_SECONDS = 1.0
_ERASURE = "io.headrace.profile.erasure.v1"
_READ = "SELECT erasures_read FROM deployment"
_COUNTERS = """
    SELECT q, restored_counter.epoch, restored_counter.next_seq, next_offset, counter.epoch AS now
    FROM restored_counter JOIN counter USING (q) ORDER BY q
"""
_REMEMBER = "INSERT INTO erase_again (profile_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_DONE_READING = "UPDATE deployment SET erasures_read = true"
_WAITING = "SELECT profile_id FROM erase_again WHERE done_at IS NULL ORDER BY profile_id"
_DONE = f"UPDATE erase_again SET done_at = ({NOW}) WHERE profile_id = $1"  # noqa: S608
_CAUGHT_UP = """
    SELECT coalesce(min(input.time) > min(deployment.restored_at), true) FROM input, deployment WHERE topic = $1
"""


class ErasingAgain:
    """`ready` is set when everybody whom the backup knows is erased again: at once, where nothing was restored.
    `on_erased` is called after each."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        event_log: Log,
        suppressor: Suppressor | None,
        *,
        events: str,
        output: str,
        partitions: int,
        on_erased: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._log = event_log
        self._suppressor = suppressor
        self._events = events
        self._output = output
        self._partitions = partitions
        self._on_erased = on_erased
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Erase whom the backup knows, then, as they come back with their events, the others; then only wait."""
        left = True
        while left:
            try:
                await self.read()
                left = await self.erase_all() > 0
                self.ready.set()
            except (LogError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("erasing_again_waits", error=type(error).__name__)
            if left:
                await asyncio.sleep(_RETRY_SECONDS)
        await asyncio.Event().wait()

    async def read(self) -> None:
        """Find the erasures of earlier epochs that the backup does not have. Two processes that
        do so at a time find the same."""
        if await self._pool.fetchval(_READ) is not False:
            return
        found = []
        for row in await self._pool.fetch(_COUNTERS):
            found += await self._erased(row)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_REMEMBER, found)
            await connection.execute(_DONE_READING)
        if found:
            log.warning("erased_since_the_backup", count=len(found))

    async def erase_all(self) -> int:
        """Erase again; how many are still to come back."""
        caught_up = await self._pool.fetchval(_CAUGHT_UP, self._events)
        left = 0
        for (profile_id,) in await self._pool.fetch(_WAITING):
            erased = await erase(
                self._pool, profile_id, self._partitions, suppressor=self._suppressor, actor="restored"
            )
            if erased:
                self._on_erased()
            if erased or caught_up:
                await self._pool.execute(_DONE, profile_id)
            else:
                left += 1
        return left

    async def _erased(self, counter: asyncpg.Record) -> list[str]:
        """Who was erased in a partition since the backup."""
        bounds = await self._log.bounds(self._output, counter["q"])
        offset, found = max(counter["next_offset"], bounds.begin), []
        while offset < bounds.end:
            try:
                records = await self._log.read(self._output, counter["q"], offset)
            except OffsetOutOfRange:  # trimmed meanwhile
                offset = (await self._log.bounds(self._output, counter["q"])).begin
                continue
            if not records:
                break
            found += [who for record in records if (who := _who(record, counter)) is not None]
            offset = records[-1].offset + 1
        return found


def _who(record: Record, counter: asyncpg.Record) -> str | None:
    """The profile that this record erases, if it is one that the backup does not have."""
    if header(record.headers, "ce_type") != _ERASURE.encode():
        return None
    epoch, seq = header(record.headers, EPOCH) or b"", header(record.headers, SEQ) or b""
    subject = header(record.headers, "ce_subject")
    if subject is None or not (epoch.isdigit() and seq.isdigit()) or int(epoch) >= counter["now"]:
        return None
    return subject.decode() if (int(epoch), int(seq)) >= (counter["epoch"], counter["next_seq"]) else None
