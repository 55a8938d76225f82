"""Suppression without erasure: the record stays, nothing more is collected, nothing is sent."""

from contextlib import suppress

import asyncpg

from headrace.contracts.instant import Millis
from services.profiles.audit import note
from services.profiles.history_sql import family
from services.profiles.merging import NOW
from services.profiles.store import Connection
from services.profiles.suppression import Suppressor
from services.profiles.suppression_sql import hold_inputs, names_in_store, profile_names, put_suppressed

_LIVE = """
    SELECT id FROM profile WHERE merged_into IS NULL AND NOT erased
        AND id = coalesce((SELECT root FROM alias WHERE profile_id = $1), $1)
"""
_SINCE = "SELECT min(at) FROM suppressed WHERE profile_id = ANY($1::text[])"


async def suppress_profile(
    pool: asyncpg.Pool, suppressor: Suppressor, profile_id: str, *, actor: str
) -> str | None:
    """The id of the profile that is suppressed from now on; None when there is none. Never cancel it half-way."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            async with pool.acquire() as connection, connection.transaction():
                await hold_inputs(connection)
                root: str | None = await connection.fetchval(_LIVE, profile_id)
                if root is not None:
                    await _suppress(connection, suppressor, root)
                    await note(connection, actor, "suppress", root)
                return root


async def _suppress(connection: Connection, suppressor: Suppressor, root: str) -> None:
    ids = await family(connection, root)
    names = [*await names_in_store(connection, ids), *profile_names(ids)]
    await put_suppressed(connection, suppressor, names, await connection.fetchval(NOW), root)


async def unsuppress_profile(pool: asyncpg.Pool, profile_id: str, *, actor: str) -> str | None:
    """Collect and send again. The profile's id; None when there is none."""
    async with pool.acquire() as connection, connection.transaction():
        root: str | None = await connection.fetchval(_LIVE, profile_id)
        if root is not None:
            ids = await family(connection, root)
            await connection.execute("DELETE FROM suppressed WHERE profile_id = ANY($1::text[])", ids)
            await note(connection, actor, "unsuppress", root)
    return root


async def suppressed_since(pool: asyncpg.Pool, profile_id: str) -> tuple[str, Millis | None] | None:
    """The profile's id, and since when it is suppressed, if it is; None when there is no such profile."""
    async with pool.acquire() as connection:
        root: str | None = await connection.fetchval(_LIVE, profile_id)
        if root is None:
            return None
        return root, await connection.fetchval(_SINCE, await family(connection, root))
