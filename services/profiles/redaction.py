"""Redacts erased people once nobody needs their rows to recover (DESIGN §4.7).

That is when `HEADRACE_ROLLBACK_HORIZON` has passed and every partition of the segmenter that has rows of theirs
has applied them all, the erasure included. How far that was is kept: a store that is found before it is rebuilt.
"""

import asyncio
from collections.abc import Mapping

import asyncpg
import structlog

from headrace.log.port import Log, LogError
from headrace.runtime.tasks import finish
from services.profiles.history_sql import family
from services.profiles.letters import erase_letters
from services.profiles.readers import Readers, ReadersUnavailable
from services.profiles.redaction_sql import (
    Needed,
    Passed,
    alone,
    done,
    mark_redacted,
    needed,
    next_waiting,
    redact_people,
)

log = structlog.get_logger()

_LEAST_SECONDS, _MOST_SECONDS = 1.0, 60.0


class Redaction:
    """Any number of processes may run it; one works at a time."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        event_log: Log,
        readers: Readers,
        *,
        dead_letters: str,
        partitions: int,
        horizon_ms: int,
    ) -> None:
        self._pool = pool
        self._log = event_log
        self._readers = readers
        self._dead_letters = dead_letters
        self._partitions = partitions
        self._horizon_ms = horizon_ms

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        seconds = min(_MOST_SECONDS, max(_LEAST_SECONDS, self._horizon_ms / 10_000))
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.redact_all()
            except (ReadersUnavailable, LogError, asyncpg.PostgresError, OSError) as error:
                log.warning("redaction_waits", error=type(error).__name__)

    async def redact_all(self) -> int:
        """Redact everybody whose time has come; how many that were. Raises ReadersUnavailable or LogError."""
        after, redacted = "", 0
        while True:
            found = await finish(self._next(after))
            if found is None:
                return redacted
            after, was_redacted = found
            redacted += was_redacted

    async def _next(self, after: str) -> tuple[str, bool] | None:
        """The next person behind `after`, and whether the time had come; None when there is nobody left."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await alone(connection):
                return None
            waiting = await next_waiting(connection, self._horizon_ms, after)
            if waiting is None:
                return None
            ids = await family(connection, waiting.profile_id)
            wanted = await needed(connection, ids)
            passed = await self._readers.forget(ids)
            if not _all_passed(wanted, passed):
                return waiting.profile_id, False
            rows = await redact_people(connection, ids)
            await mark_redacted(connection, passed, {q: need.seq for q, need in wanted.items()})
            letters = await erase_letters(
                self._log, self._dead_letters, range(self._partitions), waiting.identifiers
            )
            await done(connection, waiting.profile_id)
        log.info("redacted", profile=waiting.profile_id, rows=rows, dead_letters=letters)
        return waiting.profile_id, True


def _all_passed(wanted: Mapping[int, Needed], passed: Mapping[int, Passed]) -> bool:
    return all(
        q in passed and (passed[q].epoch, passed[q].seq) >= (need.epoch, need.seq) for q, need in wanted.items()
    )
