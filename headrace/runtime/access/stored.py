"""The admin tokens that stand in Postgres, as a service knows them."""

import asyncio
from collections.abc import Awaitable, Sequence

import asyncpg

from headrace.runtime.access.following import POLL_SECONDS, follow
from headrace.runtime.access.guard import Access
from headrace.runtime.access.tokens import ROOT, Token
from headrace.runtime.access.trail import PostgresTrail

USED_SECONDS = 10.0
_READ = (
    "SELECT sha256, id, name, scopes, (extract(epoch FROM expires_at) * 1000)::bigint AS expires_at "
    "FROM access.token_v1"
)


class StoredTokens:
    """Keeps the tokens of `access` up to date from Postgres and tells Postgres which were used; acts go into the
    audit log there."""

    def __init__(self, access: Access, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._access = access
        self._pool = pool
        access.trail = PostgresTrail(pool)

    def background(self) -> Sequence[Awaitable[None]]:
        """What runs beside the HTTP server."""
        return [follow(self._pool, self.load), self._tell_used()]

    async def load(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> float:
        """Read them now; seconds until the next look."""
        rows = await connection.fetch(_READ)
        self._access.tokens.replace(
            (row["sha256"], Token(row["id"], row["name"], frozenset(row["scopes"]), row["expires_at"]))
            for row in rows
        )
        return POLL_SECONDS

    async def _tell_used(self) -> None:
        while True:
            await asyncio.sleep(USED_SECONDS)
            await self.write_used()

    async def write_used(self) -> None:
        """Write down which tokens were used, or keep it for the next time."""
        used = self._access.used
        told = used - {ROOT.id}
        used.clear()
        if told:
            try:
                await self._pool.execute("SELECT access.tokens_used_v1($1)", sorted(told))
            except Exception:
                used |= told
