"""Retention by age: events older than `HEADRACE_RETENTION` lose what they said.

Their properties and their context go. Their names and times stay, who they were of, and what they changed of the
customer: identity, traits, consents and tags do not change, and counts of events go on. What segments read into
older events is gone for a recount, so definitions that do are named in the log.
"""

import asyncio

import asyncpg
import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.tasks import finish
from services.profiles.merging import NOW
from services.profiles.readers import Readers, ReadersUnavailable
from services.profiles.redacted import faded_event
from services.profiles.redaction_sql import Passed, alone, mark_redacted
from services.profiles.store import Connection

log = structlog.get_logger()

CHUNK = 1_000
PAUSE_SECONDS = 600.0

_DONE = "SELECT coalesce((SELECT seq FROM faded WHERE q = $1), 0)"
# times never fall within a partition, so what is old stands at the beginning
_NEXT_TIME = "SELECT time FROM timeline WHERE q = $1 AND seq > $2 ORDER BY seq LIMIT 1"
_ROWS = f"""
    SELECT seq, kind, time, payload FROM timeline WHERE q = $1 AND seq > $2 AND seq <= $3
    ORDER BY seq LIMIT {CHUNK}
"""  # noqa: S608
_FADE = """
    UPDATE timeline SET payload = new.payload FROM unnest($2::bigint[], $3::text[]) AS new (seq, payload)
    WHERE timeline.q = $1 AND timeline.seq = new.seq
"""
_MOVE = "INSERT INTO faded (q, seq) VALUES ($1, $2) ON CONFLICT (q) DO UPDATE SET seq = excluded.seq"


class Fading:
    """Any number of processes may run it; one works at a time."""

    def __init__(
        self, pool: asyncpg.Pool, readers: Readers, retention_ms: Millis | None, *, partitions: int
    ) -> None:
        self._pool = pool
        self._readers = readers
        self._retention_ms = retention_ms
        self._partitions = partitions

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self.fade_all()
            except (ReadersUnavailable, asyncpg.PostgresError, OSError) as error:
                log.warning("retention_waits", error=type(error).__name__)

    async def fade_all(self) -> int:
        """Take out what is too old; from how many events that was. Raises ReadersUnavailable."""
        if self._retention_ms is None:
            return 0
        if needing := await self._readers.lookback(self._retention_ms):
            log.warning("retention_shorter_than_segments", definitions=sorted(needing))
        faded = 0
        for q in range(self._partitions):
            while (count := await finish(self._fade(q, self._retention_ms))) is not None:
                faded += count
        return faded

    async def _fade(self, q: int, retention_ms: Millis) -> int | None:
        """The next rows of the partition: how many lost something; None when there are none."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await alone(connection):
                return None
            oldest = await connection.fetchval(NOW) - retention_ms
            done = await connection.fetchval(_DONE, q)
            first = await connection.fetchval(_NEXT_TIME, q, done)
            if first is None or first >= oldest:
                return None
            passed = (await self._readers.forget(())).get(q)
            if passed is None or passed.seq <= done:
                return None
            return await _fade_rows(connection, done, oldest, passed)


async def _fade_rows(connection: Connection, done: int, oldest: Millis, passed: Passed) -> int:
    q = passed.partition
    rows = await connection.fetch(_ROWS, q, done, passed.seq)
    old = [row for row in rows if row["time"] < oldest]
    payloads = {row["seq"]: faded_event(row["payload"]) for row in old if row["kind"] == "event"}
    changed = {seq: payload for seq, payload in payloads.items() if payload is not None}
    last = old[-1]["seq"]
    if changed:
        await connection.execute(_FADE, q, list(changed), list(changed.values()))
        await mark_redacted(connection, {q: passed}, {q: max(changed)})
    await connection.execute(_MOVE, q, last)
    return len(changed)
