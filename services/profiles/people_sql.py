"""Loads and writes the people of a batch: identifiers, profiles, aliases, inside `batch.py`'s transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from headrace.contracts.instant import Millis
from services.profiles.identity import Identifier, People
from services.profiles.intake import Incoming
from services.profiles.profile import Profile
from services.profiles.store import Connection

_CLAIM_IDENTIFIERS = """
    INSERT INTO identifier (type, value, first_seen, last_seen, source)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
        AS new (type, value, first_seen, last_seen, source)
    ORDER BY type, value
    ON CONFLICT (type, value) DO UPDATE SET
        first_seen = least(identifier.first_seen, excluded.first_seen),
        last_seen = greatest(identifier.last_seen, excluded.last_seen)
    RETURNING type, value, profile_id
"""
_ROOTS = "SELECT profile_id, root FROM alias WHERE profile_id = ANY($1::text[])"
_LOCK_PROFILES = """
    SELECT id, user_id, traits, trait_times, consents, computed, tags, time_zone, time_zone_at,
           first_seen, last_seen, merged_into, erased
    FROM profile WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""
_WRITE_PROFILES = """
    INSERT INTO profile (id, user_id, traits, trait_times, consents, computed, tags, time_zone, time_zone_at,
                         first_seen, last_seen, merged_into)
    SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::jsonb[], $5::jsonb[], $6::jsonb[], $7::jsonb[],
                         $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, traits = excluded.traits, trait_times = excluded.trait_times,
        consents = excluded.consents, computed = excluded.computed, tags = excluded.tags,
        time_zone = excluded.time_zone, time_zone_at = excluded.time_zone_at,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, merged_into = excluded.merged_into
"""
# An upsert of rows that exist (we claimed them): it goes by the index, where the plan of a joined update, cached
# while the table was small, would scan a table that has grown.
_ATTACH = """
    INSERT INTO identifier (type, value, profile_id, first_seen, last_seen, source)
    SELECT type, value, profile_id, 0, 0, ''
    FROM unnest($1::text[], $2::text[], $3::text[]) AS new (type, value, profile_id)
    ON CONFLICT (type, value) DO UPDATE SET profile_id = excluded.profile_id
"""
_COMPRESS = """
    UPDATE alias SET root = (
        SELECT new.root FROM unnest($1::text[], $2::text[]) AS new (old, root) WHERE new.old = alias.root)
    WHERE alias.root = ANY($1::text[])
"""
_MERGE = "INSERT INTO alias (profile_id, root) SELECT * FROM unnest($1::text[], $2::text[])"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def lock_people(connection: Connection, incoming: Sequence[Incoming]) -> People:
    """Claim the identifiers and lock the live profiles that the records are about. Whoever wants one of them
    waits until our transaction ends."""
    owners = await _claim_identifiers(connection, incoming)
    wanted = {owner for owner in owners.values() if owner is not None}
    wanted |= {one.addressed_to for one in incoming if one.addressed_to is not None}
    return await lock_profiles(connection, wanted, owners)


async def lock_profiles(
    connection: Connection, wanted: Iterable[str], owners: Mapping[Identifier, str | None] | None = None
) -> People:
    """Lock the live profiles behind ids, ascending. An id whose profile is erased or was never there leads
    nowhere. Looks again when others merged one of them while we waited for it."""
    ids = set(wanted)
    while ids:
        roots = {one: one for one in ids}
        roots |= {row["profile_id"]: row["root"] for row in await connection.fetch(_ROOTS, list(ids))}
        rows = await connection.fetch(_LOCK_PROFILES, sorted(set(roots.values())))
        if any(row["merged_into"] is not None for row in rows):
            continue
        profiles = {row["id"]: _profile(row) for row in rows if not row["erased"]}
        aliases = {one: root for one, root in roots.items() if root in profiles}
        live = {found: aliases.get(owner) if owner else None for found, owner in (owners or {}).items()}
        return People(live, profiles.values(), aliases)
    return People(owners or {}, ())


async def write_people(connection: Connection, people: People) -> None:
    """Write back every profile of the batch, new owners of identifiers, and merges."""
    # the merged ones first: they give their user id up before another profile takes it
    profiles = sorted(people.profiles(), key=lambda profile: profile.merged_into is None)
    if profiles:
        await connection.execute(_WRITE_PROFILES, *map(list, zip(*map(_columns, profiles), strict=True)))
    if people.attached:
        types, values = zip(*people.attached, strict=True)
        await connection.execute(_ATTACH, types, values, list(people.attached.values()))
    if people.merged:
        losers = [loser for loser, _ in people.merged]
        winners = [live.id for loser in losers if (live := people.profile(loser)) is not None]
        await connection.execute(_COMPRESS, losers, winners)
        await connection.execute(_MERGE, losers, winners)


async def _claim_identifiers(connection: Connection, incoming: Sequence[Incoming]) -> dict[Identifier, str | None]:
    seen: dict[Identifier, tuple[Millis, Millis, str]] = {}
    for one in incoming:
        for found in one.identifiers:
            first, last, source = seen.get(found, (one.ts, one.ts, one.row.source))
            seen[found] = (min(first, one.ts), max(last, one.ts), source)
    if not seen:
        return {}
    types, values = zip(*seen, strict=True)
    firsts, lasts, sources = zip(*seen.values(), strict=True)
    rows = await connection.fetch(_CLAIM_IDENTIFIERS, types, values, firsts, lasts, sources)
    return {(row["type"], row["value"]): row["profile_id"] for row in rows}


def _profile(row: asyncpg.Record) -> Profile:
    return Profile(
        id=row["id"],
        user_id=row["user_id"],
        traits=_decode(row["traits"]),
        trait_times=_decode(row["trait_times"]),
        consents=_decode(row["consents"]),
        computed=_decode(row["computed"]),
        tags=_decode(row["tags"]),
        time_zone=row["time_zone"],
        time_zone_at=row["time_zone_at"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
    )


def _columns(profile: Profile) -> tuple[Any, ...]:
    return (
        profile.id,
        profile.user_id,
        _encode(profile.traits).decode(),
        _encode(profile.trait_times).decode(),
        _encode(profile.consents).decode(),
        _encode(profile.computed).decode(),
        _encode(profile.tags).decode(),
        profile.time_zone,
        profile.time_zone_at,
        profile.first_seen,
        profile.last_seen,
        profile.merged_into,
    )
