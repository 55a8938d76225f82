"""Forgetting a person: hidden at once, links and traits deleted, every reader told (DESIGN §4.7).

The rows of the timeline stay until `HEADRACE_ROLLBACK_HORIZON` has passed and the readers have seen the
erasure: they are what a store rolled back meanwhile is rebuilt from (`redaction.py`). Unless told otherwise, keyed
hashes of the identifiers are kept, so that the person is not recreated.
"""

from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import msgspec

from headrace.contracts.profile_event import ErasureRow
from headrace.contracts.topics import partition_of
from services.profiles.audit import note
from services.profiles.consent_records import RECORDS_OF
from services.profiles.history_sql import family
from services.profiles.identity import Identifier
from services.profiles.merging import NOW
from services.profiles.sequence import erasure_row
from services.profiles.store import Connection, lock_counters, write_rows
from services.profiles.suppression import Suppressor
from services.profiles.suppression_sql import hold_inputs, profile_names, put_suppressed

_ROOT = "SELECT coalesce((SELECT root FROM alias WHERE profile_id = $1), $1)"
_FORGET_IDENTIFIERS = """
    DELETE FROM identifier WHERE profile_id = ANY($1::text[])
    RETURNING type, value, quarantined_at IS NULL AS theirs
"""
_FORGET_PROFILES = """
    UPDATE profile SET erased = true, user_id = NULL, traits = '{}', trait_times = '{}', consents = '{}',
        computed = '{}', computed_at = '{}', tags = '[]', tag_times = '{}', time_zone = NULL
    WHERE id = ANY($1::text[])
"""
_EVIDENCE = "(SELECT * FROM unnest($1::text[], $2::text[]))"
_FORGET_EVIDENCE = (
    f"DELETE FROM apart WHERE (type, value) IN {_EVIDENCE}",  # noqa: S608
    f"DELETE FROM suspicion WHERE (type, value) IN {_EVIDENCE}",  # noqa: S608
)
# An array each, since the planner reads whole tables for `profile_id = … OR other_id = …`.
_FORGET_DECISIONS = """
    UPDATE decision SET evidence = '{}', once = NULL WHERE n IN (
        SELECT n FROM decision WHERE profile_id = ANY($1::text[])
        UNION SELECT n FROM decision WHERE other_id = ANY($1::text[]))
"""
# Those of whom they were taken out, and of whom these were: why these are one says who was one with them.
_FORGET_EARLIER_DECISIONS = """
    WITH RECURSIVE earlier AS (
        SELECT unnest($1::text[]) AS id
        UNION SELECT near.id FROM earlier CROSS JOIN LATERAL (
            SELECT unmerge.profile_id AS id FROM unmerge WHERE unmerge.into_id = earlier.id
            UNION ALL SELECT alias.profile_id FROM alias WHERE alias.root = earlier.id
            UNION ALL SELECT alias.root FROM alias WHERE alias.profile_id = earlier.id
        ) AS near
    ), named AS (
        SELECT jsonb_build_array(type, value) AS name FROM unnest($2::text[], $3::text[]) AS new (type, value)
    )
    UPDATE decision SET evidence = '{}', once = NULL WHERE n IN (
        SELECT n FROM decision JOIN earlier ON decision.profile_id = earlier.id
        UNION SELECT n FROM decision JOIN earlier ON decision.other_id = earlier.id)
        AND EXISTS (SELECT FROM named WHERE evidence -> 'identifiers' @> jsonb_build_array(name)
            OR evidence -> 'dropped' = name OR evidence -> 'asked' -> 'identifier' = name)
"""
_FORGET_CONSENTS = f"""
    DELETE FROM consent_record WHERE (q, seq) IN (SELECT q, seq FROM ({RECORDS_OF}) AS record)
"""  # noqa: S608
_REMEMBER = f"INSERT INTO erasure (profile_id, at, identifiers) VALUES ($1, ({NOW}), $2) ON CONFLICT DO NOTHING"  # noqa: S608


async def erase(
    pool: asyncpg.Pool,
    profile_id: str,
    partitions: int,
    *,
    suppressor: Suppressor | None = None,
    actor: str = "admin",
) -> bool:
    """Erase the profile that `profile_id` is or went into. False when there is none (any more). With `suppressor`
    what names the person is dropped from then on; without, it makes somebody new."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            async with pool.acquire() as connection, connection.transaction():
                if suppressor is not None:
                    await hold_inputs(connection)
                root = await connection.fetchval(_ROOT, profile_id)
                erased = await _erase(connection, profile_id, root, partitions, suppressor)
                if erased:
                    await note(connection, actor, "erase", root, {"suppress": suppressor is not None})
            if erased is not None:
                return erased


async def _erase(
    connection: Connection, profile_id: str, root: str, partitions: int, suppressor: Suppressor | None
) -> bool | None:
    """None when `profile_id` was merged or taken away from `root` meanwhile: look again. Locks in `batch.py`'s
    order."""
    found = await connection.fetchrow("SELECT merged_into, erased FROM profile WHERE id = $1 FOR UPDATE", root)
    if found is None or found["erased"]:
        return False
    if found["merged_into"] is not None or await connection.fetchval(_ROOT, profile_id) != root:
        return None
    ids = await family(connection, root)
    rows = await connection.fetch(_FORGET_IDENTIFIERS, ids)
    names = [(row["type"], row["value"]) for row in rows]
    if suppressor is not None:
        # what nobody can be told apart by would silence others
        theirs = [name for name, row in zip(names, rows, strict=True) if row["theirs"]]
        now = await connection.fetchval(NOW)
        await put_suppressed(connection, suppressor, [*theirs, *profile_names(ids)], now, None)
    await connection.execute(_REMEMBER, root, msgspec.json.encode(names).decode())
    await _forget(connection, ids, names)
    counters = await lock_counters(connection, [partition_of(root, partitions)])
    row = ErasureRow(seq=0, epoch=0, time=0, low=0, profile_id=root)
    await write_rows(connection, [erasure_row(counter, row) for counter in counters.values()], counters)
    return True


async def _forget(connection: Connection, ids: Sequence[str], names: Sequence[Identifier]) -> None:
    """Take out whatever is kept beside the timeline."""
    types, values = [kind for kind, _ in names], [value for _, value in names]
    for statement in _FORGET_EVIDENCE:
        await connection.execute(statement, types, values)
    await connection.execute(_FORGET_DECISIONS, list(ids))
    await connection.execute(_FORGET_EARLIER_DECISIONS, list(ids), types, values)
    await connection.execute(_FORGET_CONSENTS, list(ids))
    await connection.execute(_FORGET_PROFILES, list(ids))
