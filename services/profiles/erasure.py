"""Forgetting a person: hidden at once, links and traits deleted, every reader told (DESIGN §4.7).

The rows of the timeline stay until `HEADRACE_ROLLBACK_HORIZON` has passed and the readers have seen the
erasure: they are what a store rolled back meanwhile is rebuilt from.
"""

from contextlib import suppress

import asyncpg

from headrace.contracts.profile_event import ErasureRow
from headrace.contracts.topics import partition_of
from services.profiles.sequence import erasure_row
from services.profiles.store import Connection, lock_counters, write_rows

# Arrays, since the planner reads whole tables for `id = $1 OR id IN (SELECT …)`.
_EVERYBODY = "ANY(ARRAY(SELECT $1::text UNION ALL SELECT profile_id FROM alias WHERE root = $1))"
_FORGET_IDENTIFIERS = f"DELETE FROM identifier WHERE profile_id = {_EVERYBODY}"  # noqa: S608
_FORGET_PROFILES = f"""
    UPDATE profile SET erased = true, user_id = NULL, traits = '{{}}', trait_times = '{{}}', consents = '{{}}',
        computed = '{{}}', computed_at = '{{}}', tags = '[]', tag_times = '{{}}', time_zone = NULL
    WHERE id = {_EVERYBODY}
"""  # noqa: S608


async def erase(pool: asyncpg.Pool, profile_id: str, partitions: int) -> bool:
    """Erase the profile that `profile_id` is or went into. False when there is none (any more)."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            async with pool.acquire() as connection, connection.transaction():
                root = await connection.fetchval("SELECT root FROM alias WHERE profile_id = $1", profile_id)
                erased = await _erase(connection, root or profile_id, partitions)
            if erased is not None:
                return erased


async def _erase(connection: Connection, root: str, partitions: int) -> bool | None:
    """None when the profile was merged away meanwhile: look again. Locks in `batch.py`'s order."""
    found = await connection.fetchrow("SELECT merged_into, erased FROM profile WHERE id = $1 FOR UPDATE", root)
    if found is None or found["erased"]:
        return False
    if found["merged_into"] is not None:
        return None
    await connection.execute(_FORGET_IDENTIFIERS, root)
    await connection.execute(_FORGET_PROFILES, root)
    counters = await lock_counters(connection, [partition_of(root, partitions)])
    row = ErasureRow(seq=0, epoch=0, time=0, low=0, profile_id=root)
    await write_rows(connection, [erasure_row(counter, row) for counter in counters.values()], counters)
    return True
