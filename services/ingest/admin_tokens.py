"""Admin tokens in Postgres. A token itself is told once, when it is made; its SHA-256 is kept."""

from collections.abc import Sequence
from uuid import uuid4

import asyncpg

from headrace.runtime.access.secret import SHOWN, TOKEN_PREFIX, new_secret
from headrace.runtime.access.tokens import digest

_ADD = (
    "INSERT INTO access.admin_token (id, name, sha256, prefix, scopes, expires_at) "
    "VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 millisecond') "
    "RETURNING id, name, prefix, scopes, created_at, expires_at"
)
_ALL = (
    "SELECT id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at FROM access.admin_token "
    "ORDER BY created_at, id"
)
_REVOKE = "UPDATE access.admin_token SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id"


class AdminTokens:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def add(self, name: str, scopes: Sequence[str], expires_in_ms: int | None) -> dict[str, object]:
        """A new token, with the token itself."""
        token = new_secret(TOKEN_PREFIX)
        shown = (uuid4().hex[:16], name, digest(token), token[:SHOWN], list(scopes), expires_in_ms)
        [row] = await self._pool.fetch(_ADD, *shown)
        return {**dict(row), "token": token}

    async def all(self) -> list[dict[str, object]]:
        """The oldest first; those that hold no more too."""
        return [dict(row) for row in await self._pool.fetch(_ALL)]

    async def revoke(self, token_id: str) -> bool:
        """False when there is no such token."""
        return await self._pool.fetchval(_REVOKE, token_id) is not None
