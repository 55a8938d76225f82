"""Sources and their write keys in Postgres. A key itself is told once, when it is made; its SHA-256 is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

import asyncpg

from headrace.runtime.access.secret import KEY_PREFIX, SHOWN, new_secret
from headrace.runtime.access.tokens import digest

_PUT = (
    "INSERT INTO access.source (name, kind, origins, origins_required, rate) VALUES ($1, $2, $3, $4, $5) "
    "ON CONFLICT (name) DO UPDATE SET kind = EXCLUDED.kind, origins = EXCLUDED.origins, "
    "origins_required = EXCLUDED.origins_required, rate = EXCLUDED.rate, disabled_at = NULL"
)
_SOURCES = (
    "SELECT name, kind, origins, origins_required, rate, created_at, disabled_at FROM access.source "
    "WHERE $1::text IS NULL OR name = $1 ORDER BY name"
)
_KEYS = (
    "SELECT source, id, prefix, created_at, expires_at, last_used_at, revoked_at FROM access.write_key "
    "WHERE $1::text IS NULL OR source = $1 ORDER BY created_at, id"
)
_ADD_KEY = (
    "INSERT INTO access.write_key (id, sha256, prefix, source, expires_at) "
    "SELECT $1, $2, $3, name, now() + $5 * interval '1 millisecond' FROM access.source "
    "WHERE name = $4 AND disabled_at IS NULL FOR SHARE RETURNING id, prefix, created_at, expires_at"
)
_REVOKE = (
    "UPDATE access.write_key SET revoked_at = coalesce(revoked_at, now()) WHERE source = $1 "
    "AND ($2::text IS NULL OR id = $2) RETURNING id"
)
_DISABLE = "UPDATE access.source SET disabled_at = coalesce(disabled_at, now()) WHERE name = $1 RETURNING name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a source is to be. `rate` in events per second."""

    kind: Literal["public", "server"]
    origins: Sequence[str]
    origins_required: bool
    rate: float | None


class Sources:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def put(self, name: str, wanted: Wanted) -> None:
        """Make it, or change it; one that was deleted takes events again, by new keys."""
        await self._pool.execute(
            _PUT, name, wanted.kind, list(wanted.origins), wanted.origins_required, wanted.rate
        )

    async def all(self, name: str | None = None) -> list[dict[str, object]]:
        """Each with its keys, those that hold no more too."""
        keys: dict[str, list[dict[str, object]]] = {}
        for row in await self._pool.fetch(_KEYS, name):
            key = dict(row)
            keys.setdefault(key.pop("source"), []).append(key)
        return [{**dict(row), "keys": keys.get(row["name"], [])} for row in await self._pool.fetch(_SOURCES, name)]

    async def delete(self, name: str) -> bool:
        """Nothing is taken for it any more, and its keys are revoked; False when there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_DISABLE, name) is None:
                return False
            await connection.execute(_REVOKE, name, None)
        return True

    async def add_key(self, name: str, expires_in_ms: int | None) -> dict[str, object] | None:
        """A new key beside the others, with the key itself; None when there is no such source."""
        key = new_secret(KEY_PREFIX)
        row = await self._pool.fetchrow(_ADD_KEY, uuid4().hex[:16], digest(key), key[:SHOWN], name, expires_in_ms)
        return None if row is None else {**dict(row), "key": key}

    async def revoke_key(self, name: str, key_id: str) -> bool:
        """False when there is no such key."""
        return await self._pool.fetchval(_REVOKE, name, key_id) is not None
