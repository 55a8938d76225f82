"""Loads and writes the people of a batch: profiles, their documents, aliases, inside `batch.py`'s transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from services.profiles.arrays import nullable_text_array, number_array, text_array
from services.profiles.evidence_sql import load_names, load_sides, make_own_profiles
from services.profiles.identifiers_sql import Names, Overtaken
from services.profiles.identity import People
from services.profiles.identity_rules import IdentityRules
from services.profiles.intake import Incoming
from services.profiles.profile import Documents, Profile
from services.profiles.store import Connection, rows_written
from services.profiles.traits import STAMP_LENGTH, whole_stamp

MAX_LOOKS = 10

_ROOTS = "SELECT profile_id, root FROM alias WHERE profile_id = ANY($1::text::text[])"
_LOCK_PROFILES = """
    SELECT id, first_seen, last_seen, user_id, time_zone, time_zone_at, merged_into, erased, ctid::text AS place
    FROM profile WHERE id = ANY($1::text::text[]) ORDER BY id FOR UPDATE
"""
_DOCUMENTS = """
    SELECT id, traits, trait_times, consents, tags, tag_times
    FROM profile WHERE id = ANY($1::text::text[])
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
# The same at half the price: the row is locked, so it is where it was.
_WRITE_IN_PLACE = """
    UPDATE profile SET
        first_seen = new.first_seen, last_seen = new.last_seen, user_id = new.user_id,
        time_zone = new.time_zone, time_zone_at = new.time_zone_at
    FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[], $4::text::text[],
                $5::text::text[], $6::text::bigint[], $7::text::tid[])
        AS new (id, first_seen, last_seen, user_id, time_zone, time_zone_at, place)
    WHERE profile.ctid = new.place AND profile.id = new.id
"""
_WRITE_WITH_DOCUMENTS = """
    INSERT INTO profile (id, first_seen, last_seen, user_id, time_zone, time_zone_at, merged_into,
                         traits, trait_times, consents, tags, tag_times)
    SELECT * FROM unnest($1::text::text[], $2::text::bigint[], $3::text::bigint[], $4::text::text[],
                         $5::text::text[], $6::text::bigint[], $7::text::text[], $8::text::jsonb[],
                         $9::text::jsonb[], $10::text::jsonb[], $11::text::jsonb[], $12::text::jsonb[])
    ON CONFLICT (id) DO UPDATE SET
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, user_id = excluded.user_id,
        time_zone = excluded.time_zone, time_zone_at = excluded.time_zone_at, merged_into = excluded.merged_into,
        traits = excluded.traits, trait_times = excluded.trait_times, consents = excluded.consents,
        tags = excluded.tags, tag_times = excluded.tag_times
"""
_COMPRESS = """
    UPDATE alias SET root = (
        SELECT new.root FROM unnest($1::text[], $2::text[]) AS new (old, root) WHERE new.old = alias.root)
    WHERE alias.root = ANY($1::text[])
"""
_MERGE = "INSERT INTO alias (profile_id, root) SELECT * FROM unnest($1::text[], $2::text[])"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def lock_people(
    connection: Connection, incoming: Sequence[Incoming], names: Names, rules: IdentityRules
) -> People:
    """Claim the new identifiers, and lock the live profiles that the records are about: whoever wants one of them
    waits until our transaction ends. Raises Overtaken."""
    await names.claim(connection)
    addressed = {one.addressed_to for one in incoming if one.addressed_to is not None}
    for _ in range(MAX_LOOKS):
        await make_own_profiles(connection, names.quarantined_alone())
        owners = names.roots()
        reached = await _roots(connection, addressed - owners.keys())
        roots = reached | owners
        profiles = await _lock(connection, roots.values())
        if (
            profiles is not None
            and profiles.keys() >= set(owners.values())
            and await _still_lead_there(connection, reached)
        ):
            changing, links = names.changing()
            changed = [profiles[root] for root in changing]
            await load_names(connection, changed, rules, without=names.claimed())
            return People(
                names.owners(),
                profiles.values(),
                roots,
                rules=rules,
                quarantined=names.quarantined(),
                apart=await load_sides(connection, links),
            )
        # merged, taken apart or erased while we waited for it: its identifiers lead elsewhere now
        await names.find(connection)
    raise Overtaken("the profiles were merged faster than they could be locked")


async def lock_profiles(connection: Connection, wanted: Iterable[str]) -> People:
    """Lock the live profiles behind ids. An id whose profile is erased or was never there leads nowhere. Raises
    Overtaken."""
    ids = set(wanted)
    for _ in range(MAX_LOOKS):
        roots = await _roots(connection, ids)
        profiles = await _lock(connection, roots.values())
        if profiles is not None and await _still_lead_there(connection, roots):
            return People({}, profiles.values(), roots)
    raise Overtaken("the profiles were merged faster than they could be locked")


async def load_documents(connection: Connection, profiles: Collection[Profile]) -> list[Documents]:
    """Give the profiles, which are locked or new, their documents; return those, in order."""
    if not profiles:
        return []
    stored = await connection.fetch(_DOCUMENTS, text_array([profile.id for profile in profiles]))
    found = {row[0]: _documents(row) for row in stored}
    for profile in profiles:
        profile.documents = found.setdefault(profile.id, Documents())
    return [found[profile.id] for profile in profiles]


def _documents(row: asyncpg.Record) -> Documents:
    found = Documents(*map(_decode, row[1:]))
    stamps = found.trait_times
    stamps.update({name: whole_stamp(stamp) for name, stamp in stamps.items() if len(stamp) < STAMP_LENGTH})
    return found


async def write_people(connection: Connection, people: People, names: Names | None = None) -> None:
    """Write back every profile of the batch, what it says of identifiers, and merges. Raises Overtaken."""
    if names is not None:
        await names.write(connection, people.owners)
    await write_profiles(connection, people.profiles())
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


async def _still_lead_there(connection: Connection, roots: Mapping[str, str]) -> bool:
    """Whether no merged id has become another's while we waited for the locks: an unmerge may take it away from a
    profile that stays."""
    merged = {one: root for one, root in roots.items() if one != root}
    return not merged or await _roots(connection, merged) == merged


async def _lock(connection: Connection, ids: Iterable[str]) -> dict[str, Profile] | None:
    """The live ones of the profiles, locked in ascending order; None when one was merged away meanwhile."""
    wanted = sorted(set(ids))
    profiles: dict[str, Profile] = {}
    for row in await connection.fetch(_LOCK_PROFILES, text_array(wanted)) if wanted else ():
        *columns, merged_into, erased, place = row
        if merged_into is not None:
            return None
        if not erased:
            profiles[row[0]] = found = Profile(*columns)
            found.place = place
    return profiles


async def write_profiles(connection: Connection, profiles: Iterable[Profile]) -> None:
    """Write locked or new profiles, with their documents where those are loaded. Raises Overtaken."""
    new: list[Profile] = []
    placed: list[tuple[Profile, str]] = []
    loaded: list[tuple[Profile, Documents]] = []
    for profile in profiles:
        if profile.documents is not None:
            loaded.append((profile, profile.documents))
        elif profile.place is not None:
            placed.append((profile, profile.place))
        else:
            new.append(profile)
    if new:
        await connection.execute(_WRITE_PROFILES, *_columns(new))
    if placed:
        found, places = zip(*placed, strict=True)
        status = await connection.execute(_WRITE_IN_PLACE, *_columns(found), text_array(places))
        if rows_written(status) != len(placed):
            raise Overtaken("a profile is not where it was locked")
    if loaded:
        await _write_with_documents(connection, loaded)


async def _write_with_documents(connection: Connection, loaded: list[tuple[Profile, Documents]]) -> None:
    # the merged ones first: they give their user id up before another profile takes it
    loaded.sort(key=lambda one: one[0].merged_into is None)
    profiles = [profile for profile, _ in loaded]
    merged_into = nullable_text_array([profile.merged_into for profile in profiles])
    documents = _document_columns([documents for _, documents in loaded])
    await connection.execute(_WRITE_WITH_DOCUMENTS, *_columns(profiles), merged_into, *documents)


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
        _json_array([one.tags for one in documents]),
        _json_array([one.tag_times for one in documents]),
    )


def _json_array(values: Sequence[Any]) -> str:
    return text_array([_encode(value).decode() for value in values])
