"""What is in quarantine, and letting it out."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.profiles.decisions import Decision, write_decisions
from services.profiles.identity import Identifier

_LIST = """
    SELECT identifier.type, identifier.value, coalesce(alias.root, identifier.profile_id) AS profile_id,
        identifier.source, identifier.first_seen, identifier.last_seen, identifier.quarantined_at,
        identifier.taken_apart
    FROM identifier LEFT JOIN alias ON alias.profile_id = identifier.profile_id
    WHERE quarantined_at IS NOT NULL AND (identifier.type, identifier.value) > ($1, $2)
    ORDER BY identifier.type, identifier.value LIMIT $3
"""
_RELEASE = """
    UPDATE identifier SET quarantined_at = NULL, taken_apart = true
    WHERE (type, value) = ($1, $2) AND quarantined_at IS NOT NULL
    RETURNING (SELECT coalesce(max(root), identifier.profile_id) FROM alias
               WHERE alias.profile_id = identifier.profile_id),
        floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
"""
# The profile of its own may not have been needed so far; from now on it leads there.
_MAKE = """
    INSERT INTO profile (id, first_seen, last_seen)
    SELECT profile_id, first_seen, last_seen FROM identifier WHERE (type, value) = ($1, $2)
    ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM suspicion WHERE (type, value) = ($1, $2)"
_EXISTS = "SELECT true FROM identifier WHERE (type, value) = ($1, $2)"


async def quarantined(pool: asyncpg.Pool, after: Identifier, limit: int) -> Sequence[dict[str, Any]]:
    """A page by type and value."""
    return [dict(row) for row in await pool.fetch(_LIST, *after, limit)]


async def release(pool: asyncpg.Pool, found: Identifier) -> bool | None:
    """Let it say again who somebody is; what spoke against it is forgotten. False when it was not in quarantine,
    None when nobody has it. What was taken apart stays so."""
    async with pool.acquire() as connection, connection.transaction():
        released = await connection.fetchrow(_RELEASE, *found)
        if released is None:
            return False if await connection.fetchval(_EXISTS, *found) else None
        await connection.execute(_MAKE, *found)
        await connection.execute(_FORGET, *found)
        profile_id, now = released
        evidence = {"identifiers": [found]}
        await write_decisions(connection, [Decision(now, "released", profile_id, None, "api", evidence=evidence)])
    return True
