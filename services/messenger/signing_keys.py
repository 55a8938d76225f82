"""The keys that sign links: a new one, one that counts no more, and every process knowing of it soon."""

import secrets
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis, format_instant
from headrace.runtime.tasks import look_again
from services.messenger.store import Pool, read_keys
from services.messenger.tokens import SETTLED_MS, Keyring, SigningKey, signing

LOOK_SECONDS = 30.0


class SigningKeys:
    """`keyring` is the one that this process signs and verifies with; it follows what is stored."""

    def __init__(self, pool: Pool, keyring: Keyring, *, clock: Callable[[], Millis]) -> None:
        self._pool = pool
        self._keyring = keyring
        self._clock = clock

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await look_again(self.look, LOOK_SECONDS, "signing_keys_not_read")

    async def look(self) -> list[SigningKey]:
        keys = await read_keys(self._pool)
        self._keyring.become(Keyring.of(keys, self._clock()))
        return keys

    async def add(self) -> SigningKey:
        """A new key. It signs once every process has it."""
        row = await self._pool.fetchrow(_ADD, secrets.token_bytes(32), self._clock())
        assert row is not None
        await self.look()
        return SigningKey(*row)

    async def retire(self, key_id: int) -> SigningKey:
        """Refuse this key's links from now on (here at once, elsewhere within half a minute). Raises ApiError 404,
        and 409 for the key that signs."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE signing_key IN EXCLUSIVE MODE")
            keys = await read_keys(connection)
            if key_id not in {key.id for key in keys}:
                raise ApiError(404, "unknown_key", f"There is no signing key {key_id}.")
            if key_id == signing(keys, self._clock()):
                raise ApiError(409, "key_in_use", "Links are signed with this key: add another first, and wait.")
            await connection.execute(_RETIRE, key_id, self._clock())
        return next(key for key in await self.look() if key.id == key_id)


def signing_key_routes(keys: SigningKeys, *, clock: Callable[[], Millis]) -> APIRouter:
    """Of the admin API; no secret leaves."""
    router = APIRouter(prefix="/signing-keys")

    @router.get("")
    async def listed() -> dict[str, Any]:
        found = await keys.look()
        current = signing(found, clock())
        return {"items": [{**_shown(key), "signs": key.id == current} for key in found], "next": None}

    @router.post("")
    async def add() -> dict[str, Any]:
        """Make a new key. Links that are out stay good; the new key signs after two minutes."""
        return _shown(await keys.add())

    @router.delete("/{key_id}")
    async def retire(key_id: int) -> dict[str, Any]:
        """Refuse all links that this key has signed, also those to unsubscribe: for a key that has leaked."""
        return _shown(await keys.retire(key_id))

    return router


def _shown(key: SigningKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "created_at": format_instant(key.created_at),
        "signs_from": format_instant(key.created_at + SETTLED_MS),
        "retired_at": None if key.retired_at is None else format_instant(key.retired_at),
    }


_ADD = """
    INSERT INTO signing_key (id, secret, created_at) SELECT max(id) + 1, $1, $2 FROM signing_key
    RETURNING id, secret, created_at, retired_at
"""
_RETIRE = "UPDATE signing_key SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL"
