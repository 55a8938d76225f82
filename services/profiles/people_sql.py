"""Loads and writes the people of a batch: profiles, their documents, aliases, inside `batch.py`'s transaction."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from services.profiles.arrays import nullable_text_array, number_array, text_array
from services.profiles.identifiers_sql import (
    Overtaken,
    Sightings,
    assign_owners,
    claim,
    find_owners,
    write_sightings,
)
from services.profiles.identity import Identifier, People
from services.profiles.intake import Incoming
from services.profiles.profile import Documents, Profile
from services.profiles.store import Connection

MAX_LOOKS = 10

_ROOTS = "SELECT profile_id, root FROM alias WHERE profile_id = ANY($1::text::text[])"
_LOCK_PROFILES = """
    SELECT id, first_seen, last_seen, user_id, time_zone, time_zone_at, merged_into, erased
    FROM profile WHERE id = ANY($1::text::text[]) ORDER BY id FOR UPDATE
"""
_DOCUMENTS = """
    SELECT id, traits, trait_times, consents, computed, tags FROM profile WHERE id = ANY($1::text::text[])
"""
# Upserts of rows that mostly exist: they go by the index whatever the planner believes of the table's size.
_WRITE_PROFILES = """
    INSERT INTO profile (id, first_seen, last_seen, user_id, time_zone, time_zone_at)
    SELECT * FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[], $4::text::text[],
                         $5::text::text[], $6::text::bigint[])
    ON CONFLICT (id) DO UPDATE SET
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, user_id = excluded.user_id,
        time_zone = excluded.time_zone, time_zone_at = excluded.time_zone_at
"""
_WRITE_WITH_DOCUMENTS = """
    INSERT INTO profile (id, first_seen, last_seen, user_id, time_zone, time_zone_at, merged_into,
                         traits, trait_times, consents, computed, tags)
    SELECT * FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[], $4::text::text[],
                         $5::text::text[], $6::text::bigint[], $7::text::text[], $8::text::jsonb[],
                         $9::text::jsonb[], $10::text::jsonb[], $11::text::jsonb[], $12::text::jsonb[])
    ON CONFLICT (id) DO UPDATE SET
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, user_id = excluded.user_id,
        time_zone = excluded.time_zone, time_zone_at = excluded.time_zone_at, merged_into = excluded.merged_into,
        traits = excluded.traits, trait_times = excluded.trait_times, consents = excluded.consents,
        computed = excluded.computed, tags = excluded.tags
"""
_COMPRESS = """
    UPDATE alias SET root = (
        SELECT new.root FROM unnest($1::text[], $2::text[]) AS new (old, root) WHERE new.old = alias.root)
    WHERE alias.root = ANY($1::text[])
"""
_MERGE = "INSERT INTO alias (profile_id, root) SELECT * FROM unnest($1::text[], $2::text[])"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def lock_people(connection: Connection, incoming: Sequence[Incoming], seen: Sightings) -> People:
    """Claim the new identifiers, and lock the live profiles that the records are about: whoever wants one of them
    waits until our transaction ends. Raises Overtaken."""
    owners, roots = await find_owners(connection, seen)
    claimed: dict[Identifier, str] = {}
    if None in owners.values():
        claimed = await claim(connection, incoming, owners, seen)
        others, more = await find_owners(
            connection, [one for one in owners if not owners[one] and one not in claimed]
        )
        owners, roots = owners | others, roots | more
    addressed = {one.addressed_to for one in incoming if one.addressed_to is not None}
    for _ in range(MAX_LOOKS):
        if any(owner is None and one not in claimed for one, owner in owners.items()):
            raise Overtaken("an identifier's owner was erased")
        roots |= await _roots(connection, addressed - roots.keys())
        profiles = await _lock(connection, roots.values())
        if profiles is not None and all(roots[owner] in profiles for owner in owners.values() if owner):
            return People(owners, profiles.values(), roots, claimed)
        # merged or erased while we waited for it: its identifiers lead elsewhere now
        stored, roots = await find_owners(connection, [one for one in owners if one not in claimed])
        owners |= stored
    raise Overtaken("the profiles were merged faster than they could be locked")


async def lock_profiles(connection: Connection, wanted: Iterable[str]) -> People:
    """Lock the live profiles behind ids. An id whose profile is erased or was never there leads nowhere. Raises
    Overtaken."""
    ids = set(wanted)
    for _ in range(MAX_LOOKS):
        roots = await _roots(connection, ids)
        profiles = await _lock(connection, roots.values())
        if profiles is not None:
            return People({}, profiles.values(), roots)
    raise Overtaken("the profiles were merged faster than they could be locked")


async def load_documents(connection: Connection, profiles: Collection[Profile]) -> list[Documents]:
    """Give the profiles, which are locked or new, their documents; return those, in order."""
    if not profiles:
        return []
    stored = await connection.fetch(_DOCUMENTS, text_array([profile.id for profile in profiles]))
    found = {row[0]: Documents(*map(_decode, row[1:])) for row in stored}
    for profile in profiles:
        profile.documents = found.setdefault(profile.id, Documents())
    return [found[profile.id] for profile in profiles]


async def write_people(connection: Connection, people: People, seen: Sightings | None = None) -> None:
    """Write back every profile of the batch, what it says of identifiers, and merges. Raises Overtaken."""
    if seen:
        given = {found: owner for found, owner in people.owners.items() if owner is not None}
        claimed = people.claimed
        await write_sightings(connection, {one: given[one] for one in given if one not in claimed}, seen)
        await assign_owners(connection, {one: given[one] for one in claimed if given[one] != claimed[one]}, seen)
    await _write_profiles(connection, people.profiles())
    if people.merged:
        losers = [loser for loser, _ in people.merged]
        winners = [live.id for loser in losers if (live := people.profile(loser)) is not None]
        await connection.execute(_COMPRESS, losers, winners)
        await connection.execute(_MERGE, losers, winners)


async def _roots(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    roots = {one: one for one in ids}
    if roots:
        roots |= {
            row["profile_id"]: row["root"] for row in await connection.fetch(_ROOTS, text_array(list(roots)))
        }
    return roots


async def _lock(connection: Connection, ids: Iterable[str]) -> dict[str, Profile] | None:
    """The live ones of the profiles, locked in ascending order; None when one was merged away meanwhile."""
    wanted = sorted(set(ids))
    profiles: dict[str, Profile] = {}
    for row in await connection.fetch(_LOCK_PROFILES, text_array(wanted)) if wanted else ():
        *columns, merged_into, erased = row
        if merged_into is not None:
            return None
        if not erased:
            profiles[columns[0]] = Profile(*columns)
    return profiles


async def _write_profiles(connection: Connection, profiles: Iterable[Profile]) -> None:
    plain: list[Profile] = []
    loaded: list[tuple[Profile, Documents]] = []
    for profile in profiles:
        if profile.documents is None:
            plain.append(profile)
        else:
            loaded.append((profile, profile.documents))
    if plain:
        await connection.execute(_WRITE_PROFILES, *_columns(plain))
    if loaded:
        # the merged ones first: they give their user id up before another profile takes it
        loaded.sort(key=lambda one: one[0].merged_into is None)
        found = [profile for profile, _ in loaded]
        merged_into = nullable_text_array([profile.merged_into for profile in found])
        documents = _document_columns([documents for _, documents in loaded])
        await connection.execute(_WRITE_WITH_DOCUMENTS, *_columns(found), merged_into, *documents)


def _columns(profiles: Sequence[Profile]) -> tuple[str, ...]:
    return (
        text_array([profile.id for profile in profiles]),
        number_array([profile.first_seen for profile in profiles]),
        number_array([profile.last_seen for profile in profiles]),
        nullable_text_array([profile.user_id for profile in profiles]),
        nullable_text_array([profile.time_zone for profile in profiles]),
        number_array([profile.time_zone_at for profile in profiles]),
    )


def _document_columns(documents: Sequence[Documents]) -> tuple[str, ...]:
    return (
        _json_array([one.traits for one in documents]),
        _json_array([one.trait_times for one in documents]),
        _json_array([one.consents for one in documents]),
        _json_array([one.computed for one in documents]),
        _json_array([one.tags for one in documents]),
    )


def _json_array(values: Sequence[Any]) -> str:
    return text_array([_encode(value).decode() for value in values])
