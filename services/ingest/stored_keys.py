"""The write keys that stand in Postgres, as this process takes events by them."""

import asyncio
from collections.abc import Callable, Sequence

import asyncpg

from headrace.contracts.instant import Millis
from headrace.runtime.access.following import POLL_SECONDS
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
        self._read: Sequence[tuple[bytes, Source, Millis | None]] | None = None

    async def load(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> float:
        """Read them now; seconds until the next look."""
        rows = await connection.fetch(_READ)
        self._read = [(row["sha256"], _source(row), row["expires_at"]) for row in rows]
        self._put_in_force()
        return POLL_SECONDS

    async def expire(self) -> None:
        """Let keys end in their time, whether Postgres answers or not. Runs until cancelled."""
        while True:
            pause = self._put_in_force()
            await asyncio.sleep(pause)

    def _put_in_force(self) -> float:
        """Those of the keys that hold now; seconds until the next of them expires, at most until the next look."""
        if self._read is None:
            return POLL_SECONDS
        now = self._clock()
        valid = [one for one in self._read if one[2] is None or one[2] > now]
        self._keys.replace({hashed: source for hashed, source, _ in valid})
        return min([POLL_SECONDS, *((end - now) / 1000 for _, _, end in valid if end is not None)])

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
            except Exception:
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
