"""One transaction per batch of `cdp.computed-traits`: fence, set what holds, move on. Locks as in `batch.py`."""

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec

from headrace.runtime.failpoints import failpoint
from services.profiles.arrays import text_array
from services.profiles.batch import Fenced
from services.profiles.computed import Change, Computed, changed
from services.profiles.store import Connection

_POSITIONS = """
    INSERT INTO side_input (topic, q)
    SELECT topic, q FROM unnest($1::text[]) AS topic, generate_series(0, $2 - 1) AS q ON CONFLICT DO NOTHING
"""
_NEXT_OFFSET = "SELECT next_offset FROM side_input WHERE topic = $1 AND q = $2"
_FENCE = f"{_NEXT_OFFSET} FOR UPDATE"
_MOVE = "UPDATE side_input SET next_offset = $3 WHERE topic = $1 AND q = $2"
# Whoever is merged away or erased has none: the segmenter tells the winner's own.
_LOCK = """
    SELECT id, computed, computed_at FROM profile
    WHERE id = ANY($1::text::text[]) AND merged_into IS NULL AND NOT erased ORDER BY id FOR UPDATE
"""
_WRITE = """
    UPDATE profile SET computed = new.computed, computed_at = new.computed_at
    FROM unnest($1::text::text[], $2::text::jsonb[], $3::text::jsonb[]) AS new (id, computed, computed_at)
    WHERE profile.id = new.id
"""
_values = msgspec.json.Decoder(dict[str, msgspec.Raw])
_versions = msgspec.json.Decoder(dict[str, tuple[int, int]])
_encode = msgspec.json.Encoder().encode


async def initialise_side(pool: asyncpg.Pool, topics: Sequence[str], partitions: int) -> None:
    """Create the positions of inputs that are no part of time, once."""
    await pool.execute(_POSITIONS, topics, partitions)


async def side_offset(pool: asyncpg.Pool, topic: str, q: int) -> int:
    """Where to read on."""
    return int(await pool.fetchval(_NEXT_OFFSET, topic, q))


async def commit_computed(
    pool: asyncpg.Pool, topic: str, q: int, offsets: range, changes: Sequence[Change]
) -> None:
    """Apply the changes that the records of these offsets say, or nothing. Never cancel it half-way.

    Raises Fenced or asyncpg's errors.
    """
    async with pool.acquire() as connection, connection.transaction():
        position = await connection.fetchval(_FENCE, topic, q)
        if position != offsets.start:
            raise Fenced(f"{topic} {q}: expected offset {offsets.start}, the store has {position}")
        if changes:
            await _set(connection, changes)
        await connection.execute(_MOVE, topic, q, offsets.stop)
        failpoint("before_commit")
    failpoint("after_commit")


async def _set(connection: Connection, changes: Sequence[Change]) -> None:
    rows = await connection.fetch(_LOCK, text_array(list({change.profile_id for change in changes})))
    stored = {
        row["id"]: Computed(_values.decode(row["computed"]), _versions.decode(row["computed_at"])) for row in rows
    }
    ids = sorted(changed(stored, changes))
    if ids:
        found = [stored[one] for one in ids]
        await connection.execute(
            _WRITE, text_array(ids), _json(one.values for one in found), _json(one.versions for one in found)
        )


def _json(documents: Iterable[object]) -> str:
    return text_array([_encode(document).decode() for document in documents])
