"""The write keys that stand in Postgres, as this process takes events by them."""

import asyncio
from collections.abc import Callable

import asyncpg

from headrace.contracts.instant import Millis
from headrace.runtime.access.following import FAILURES, POLL_SECONDS
from services.ingest.auth import KeyRing, Source

USED_SECONDS = 10.0
_READ = (
    "SELECT k.sha256, k.id, (extract(epoch FROM k.expires_at) * 1000)::bigint AS expires_at, "
    "s.name, s.kind, s.origins, s.origins_required, s.rate "
    "FROM access.write_key AS k JOIN access.source AS s ON s.name = k.source "
    "WHERE k.revoked_at IS NULL AND s.disabled_at IS NULL"
)
_USED = "UPDATE access.write_key SET last_used_at = now() WHERE id = ANY ($1)"


class StoredKeys:
    """Keeps `keys` up to date. `clock` gives milliseconds since the epoch."""

    def __init__(self, keys: KeyRing, pool: "asyncpg.Pool[asyncpg.Record]", clock: Callable[[], Millis]) -> None:
        self._keys = keys
        self._pool = pool
        self._clock = clock

    async def load(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> float:
        """Read them now; seconds until the next of them expires, at most until the next look."""
        rows = await connection.fetch(_READ)
        now = self._clock()
        valid = [row for row in rows if row["expires_at"] is None or row["expires_at"] > now]
        self._keys.replace({row["sha256"]: _source(row) for row in valid})
        ends = [row["expires_at"] - now for row in valid if row["expires_at"] is not None]
        pause: float = min([POLL_SECONDS, *(end / 1000 for end in ends)])
        return pause

    async def tell_used(self) -> None:
        """Write down which keys were used, many at once. Runs until cancelled."""
        while True:
            await asyncio.sleep(USED_SECONDS)
            await self.write_used()

    async def write_used(self) -> None:
        """Write it down now, or keep it for the next time."""
        used = self._keys.used
        told = set(used)
        used.clear()
        if told:
            try:
                await self._pool.execute(_USED, sorted(told))
            except FAILURES:
                used |= told


def _source(row: asyncpg.Record) -> Source:
    return Source(
        row["name"],
        row["kind"] == "server",
        row["rate"],
        frozenset(row["origins"]),
        row["origins_required"],
        row["id"],
    )
