"""Suppressed people in Postgres: leaving them out of a batch, putting them there, letting them go.

Whoever suppresses locks every input first (`batch.py`'s order): a batch that runs is before it as a whole, the
next one sees it.
"""

import hmac
import secrets
from collections.abc import Iterable, Sequence
from hashlib import sha256

import asyncpg

from headrace.contracts.errors import SettingsError
from headrace.contracts.instant import Millis
from services.profiles.history_sql import family
from services.profiles.identity import Identifier
from services.profiles.intake import Incoming
from services.profiles.store import Connection
from services.profiles.suppression import PROFILE, Suppressor, all_names, without

_FIND = "SELECT hash FROM suppressed WHERE hash = ANY($1::bytea[])"
_LOCK_INPUTS = "SELECT FROM input ORDER BY topic, q FOR UPDATE"
_SUPPRESSING = "UPDATE input SET suppressing = true WHERE NOT suppressing"
# who was erased stays unknown, also when another record with the identifier is suppressed
_PUT = """
    INSERT INTO suppressed (hash, at, profile_id) SELECT hash, $2, $3 FROM unnest($1::bytea[]) AS new (hash)
    ON CONFLICT (hash) DO UPDATE SET
        profile_id = CASE WHEN excluded.profile_id IS NULL THEN NULL ELSE suppressed.profile_id END
"""
# what nobody can be told apart by would silence others
_NAMES = """
    SELECT type, value FROM identifier WHERE profile_id = ANY($1::text[]) AND quarantined_at IS NULL
"""
_HAND_OVER = "UPDATE suppressed SET profile_id = $2 WHERE hash = ANY($1::bytea[]) AND profile_id IS NOT NULL"
_IS_SUPPRESSED = "SELECT EXISTS (SELECT FROM suppressed WHERE profile_id = ANY($1::text[]))"
_KEY = """
    INSERT INTO suppression_key (secret, fingerprint) VALUES ($1, $2)
    ON CONFLICT (one) DO UPDATE SET one = excluded.one RETURNING secret, fingerprint
"""


async def open_suppressor(pool: asyncpg.Pool, key: str | None) -> Suppressor:
    """With the deployment's key: the setting, else one made at the first start and kept in Postgres. Raises
    SettingsError for a key that is not the one the hashes were made with."""
    own = None if key is not None else secrets.token_bytes(32)
    wanted = (key or "").encode() or own or b""
    row = await pool.fetchrow(_KEY, own, _fingerprint(wanted))
    assert row is not None, "written or found"
    if key is None and row["secret"] is not None:
        return Suppressor(row["secret"])
    if not hmac.compare_digest(row["fingerprint"], _fingerprint(wanted)):
        raise SettingsError(
            "HEADRACE_SUPPRESSION_KEY is not the one that suppressed identifiers were hashed with: "
            "set it as it was (unset, if it was made by itself)"
        )
    return Suppressor(wanted)


def _fingerprint(key: bytes) -> bytes:
    return sha256(b"headrace suppression key\x1f" + key).digest()


async def leave_out(
    connection: Connection, suppressor: Suppressor, fresh: Sequence[tuple[int, Incoming]]
) -> list[tuple[int, Incoming]]:
    """The records of a batch without what is suppressed. One statement, however many there are."""
    hashes = {suppressor.hash(name): name for name in all_names(record for _, record in fresh)}
    found = await connection.fetch(_FIND, list(hashes))
    if not found:
        return list(fresh)
    suppressed = {hashes[row["hash"]] for row in found}
    return [(index, left) for index, record in fresh if (left := without(record, suppressed)) is not None]


async def hold_inputs(connection: Connection) -> None:
    """Wait for the batches that run, and have those that come look at `suppressed`."""
    await connection.execute(_LOCK_INPUTS)
    await connection.execute(_SUPPRESSING)


async def names_in_store(connection: Connection, profile_ids: Sequence[str]) -> list[Identifier]:
    """Identifiers of these profiles, but for those in quarantine."""
    return [(row["type"], row["value"]) for row in await connection.fetch(_NAMES, list(profile_ids))]


async def put_suppressed(
    connection: Connection, suppressor: Suppressor, names: Iterable[Identifier], at: Millis, profile_id: str | None
) -> None:
    """`profile_id`: whose record is kept; None when the person is erased. The inputs are held."""
    await connection.execute(_PUT, [suppressor.hash(name) for name in names], at, profile_id)


async def suppress_apart(
    connection: Connection,
    suppressor: Suppressor,
    profile_ids: Sequence[str],
    identifiers: Iterable[Identifier],
    at: Millis,
) -> None:
    """A suppressed customer was taken apart: `profile_ids`, the new profile first, stay suppressed, and are let go
    by themselves. Nothing names the new profile yet, so no batch needs to wait."""
    names = profile_names(profile_ids)
    await put_suppressed(connection, suppressor, names, at, profile_ids[0])
    hashes = [suppressor.hash(name) for name in (*names, *identifiers)]
    await connection.execute(_HAND_OVER, hashes, profile_ids[0])


async def is_suppressed(connection: Connection, profile_id: str) -> bool:
    """Whether nothing is collected of this profile, whose record is kept."""
    return bool(await connection.fetchval(_IS_SUPPRESSED, await family(connection, profile_id)))


async def lift(connection: Connection, suppressor: Suppressor, name: Identifier) -> bool:
    """Collect again what names `name`. False when it was not suppressed."""
    done: str = await connection.execute("DELETE FROM suppressed WHERE hash = $1", suppressor.hash(name))
    return done != "DELETE 0"


def profile_names(profile_ids: Iterable[str]) -> list[Identifier]:
    """By which outcomes of messages name these."""
    return [(PROFILE, one) for one in profile_ids]
