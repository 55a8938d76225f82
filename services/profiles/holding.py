"""After a restore, outcomes wait for the people they are about: both inputs are read again from where the backup
stood, and an outcome that overtakes the event which made its customer would be left out as one of nobody."""

import asyncio
from collections.abc import Sequence

import asyncpg

from headrace.contracts.instant import Millis
from headrace.log.port import Record

_LOOK_SECONDS = 0.1
_MARGIN_MS = 2_000
"""How far brokers' clocks may be apart."""
_RESTORED = "SELECT restored_at FROM deployment"
_PROCESSED = "SELECT min(time) FROM input WHERE topic = $1"


class Hold:
    """Holds back what the log took until `until`, while the input `topic` has not been processed up to then."""

    def __init__(self, pool: asyncpg.Pool, topic: str, until: Millis) -> None:
        self._pool = pool
        self._topic = topic
        self._until = until
        self._processed = 0

    async def wait(self, records: Sequence[Record]) -> None:
        """Return when everybody whom these records can be about is known."""
        wanted = max((record.time for record in records if record.time <= self._until), default=-_MARGIN_MS)
        while self._processed < wanted + _MARGIN_MS:
            self._processed = int(await self._pool.fetchval(_PROCESSED, self._topic) or 0)
            if self._processed < wanted + _MARGIN_MS:
                await asyncio.sleep(_LOOK_SECONDS)


async def hold_of(pool: asyncpg.Pool, topic: str) -> Hold | None:
    """None where nothing was ever restored."""
    restored_at = await pool.fetchval(_RESTORED)
    return None if restored_at is None else Hold(pool, topic, restored_at)
