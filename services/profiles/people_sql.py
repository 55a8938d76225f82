"""Loads and writes the people of a batch: identifiers, profiles, aliases, inside `batch.py`'s transaction.

Identifiers are read without locking them: a profile's lock covers those that lead to it. New ones are written when
their owner is known, and the write tells whether somebody else was first.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from services.profiles.arrays import nullable_text_array, number_array, text_array
from services.profiles.identity import Identifier, People
from services.profiles.intake import Incoming
from services.profiles.profile import Documents, Profile
from services.profiles.store import Connection, rows_written

MAX_LOOKS = 10

# OFFSET 0 keeps the order of the joins: a plan made while the table was small would go through it for each of us.
_OWNERS = """
    SELECT wanted.n, owner.profile_id, coalesce(alias.root, owner.profile_id) AS root
    FROM unnest($1::text::text[], $2::text::text[]) WITH ORDINALITY AS wanted (type, value, n)
    CROSS JOIN LATERAL (
        SELECT profile_id FROM identifier WHERE (type, value) = (wanted.type, wanted.value) OFFSET 0
    ) AS owner
    LEFT JOIN alias ON alias.profile_id = owner.profile_id
"""
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
_WRITE_IDENTIFIERS = """
    INSERT INTO identifier (type, value, profile_id, first_seen, last_seen, source)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[],
                         $5::text::bigint[], $6::text::text[]) AS new (type, value)
    ORDER BY type, value
    ON CONFLICT (type, value) DO UPDATE SET
        first_seen = least(identifier.first_seen, excluded.first_seen),
        last_seen = greatest(identifier.last_seen, excluded.last_seen)
    WHERE identifier.profile_id = excluded.profile_id
"""
_COMPRESS = """
    UPDATE alias SET root = (
        SELECT new.root FROM unnest($1::text[], $2::text[]) AS new (old, root) WHERE new.old = alias.root)
    WHERE alias.root = ANY($1::text[])
"""
_MERGE = "INSERT INTO alias (profile_id, root) SELECT * FROM unnest($1::text[], $2::text[])"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Overtaken(HeadraceError):
    """Another transaction took an identifier, or moved a profile, between our reading and our writing. Nothing is
    written: apply again."""


async def lock_people(connection: Connection, incoming: Sequence[Incoming]) -> People:
    """Lock the live profiles that the records are about: whoever wants one of them waits until our transaction
    ends. Raises Overtaken."""
    names = list({found: None for one in incoming for found in one.identifiers})
    addressed = {one.addressed_to for one in incoming if one.addressed_to is not None}
    for _ in range(MAX_LOOKS):
        owners, roots = await _owners(connection, names)
        roots |= await _roots(connection, addressed - roots.keys())
        profiles = await _lock(connection, roots.values())
        # merged or erased while we waited for it: its identifiers lead elsewhere now
        if profiles is not None and all(roots[owner] in profiles for owner in owners.values() if owner):
            return People(owners, profiles.values(), roots)
    raise Overtaken("the profiles were merged and erased faster than they could be locked")


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


async def write_people(connection: Connection, people: People, incoming: Sequence[Incoming] = ()) -> None:
    """Write back every profile of the batch, what `incoming` says of identifiers, and merges. Raises Overtaken."""
    await _write_identifiers(connection, people.owners, incoming)
    await _write_profiles(connection, people.profiles())
    if people.merged:
        losers = [loser for loser, _ in people.merged]
        winners = [live.id for loser in losers if (live := people.profile(loser)) is not None]
        await connection.execute(_COMPRESS, losers, winners)
        await connection.execute(_MERGE, losers, winners)


async def _owners(
    connection: Connection, names: Sequence[Identifier]
) -> tuple[dict[Identifier, str | None], dict[str, str]]:
    """Who has the identifiers, as stored, and which profile each of those ids stands for."""
    owners: dict[Identifier, str | None] = dict.fromkeys(names)
    roots: dict[str, str] = {}
    if names:
        types, values = zip(*names, strict=True)
        for n, owner, root in await connection.fetch(_OWNERS, text_array(types), text_array(values)):
            owners[names[n - 1]] = owner
            roots[owner] = root
    return owners, roots


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


async def _write_identifiers(
    connection: Connection, owners: Mapping[Identifier, str | None], incoming: Iterable[Incoming]
) -> None:
    seen = _sightings(incoming)
    if not seen:
        return
    types, values = zip(*seen, strict=True)
    firsts, lasts, sources = zip(*seen.values(), strict=True)
    status = await connection.execute(
        _WRITE_IDENTIFIERS,
        text_array(types),
        text_array(values),
        nullable_text_array([owners[found] for found in seen]),
        number_array(firsts),
        number_array(lasts),
        text_array(sources),
    )
    if rows_written(status) != len(seen):
        raise Overtaken("another transaction was first to see one of the identifiers")


def _sightings(incoming: Iterable[Incoming]) -> dict[Identifier, tuple[Millis, Millis, str]]:
    """When each identifier was first and last seen, and by which source first."""
    seen: dict[Identifier, tuple[Millis, Millis, str]] = {}
    for one in incoming:
        for found in one.identifiers:
            if (before := seen.get(found)) is None:
                seen[found] = one.ts, one.ts, one.key[0]
            else:
                seen[found] = min(before[0], one.ts), max(before[1], one.ts), before[2]
    return seen


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
