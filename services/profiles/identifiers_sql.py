"""Identifiers in Postgres: who has them, claiming new ones, when they were seen; inside `batch.py`'s transaction.

Those that have an owner are read without locking them: the owner's lock covers them. New ones are claimed, that is
to write them at once, so that whoever wants the same waits for us. They are written with the owner that they will
most likely get, so that they are seldom written twice.
"""

from collections.abc import Iterable, Mapping, Sequence

from headrace.contracts.errors import HeadraceError
from headrace.contracts.ids import profile_id
from headrace.contracts.instant import Millis
from services.profiles.arrays import number_array, text_array
from services.profiles.identity import Identifier
from services.profiles.intake import Incoming
from services.profiles.store import Connection, rows_written

Sightings = Mapping[Identifier, tuple[Millis, Millis, str]]
"""When an identifier was first and last seen, and by which source first."""

# OFFSET 0 keeps the order of the joins: a plan made while the table was small would go through it for each of us.
_OWNERS = """
    SELECT wanted.n, owner.profile_id, coalesce(alias.root, owner.profile_id) AS root
    FROM unnest($1::text::text[], $2::text::text[]) WITH ORDINALITY AS wanted (type, value, n)
    CROSS JOIN LATERAL (
        SELECT profile_id FROM identifier WHERE (type, value) = (wanted.type, wanted.value) OFFSET 0
    ) AS owner
    LEFT JOIN alias ON alias.profile_id = owner.profile_id
"""
_NEW = """
    INSERT INTO identifier (type, value, profile_id, first_seen, last_seen, source)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[],
                         $5::text::bigint[], $6::text::text[]) AS new (type, value)
    ORDER BY type, value
"""
_CLAIM = f"{_NEW} ON CONFLICT DO NOTHING RETURNING type, value"
# Upserts of rows that exist: they go by the index whatever the planner believes of the table's size.
_SEE = f"""
    {_NEW} ON CONFLICT (type, value) DO UPDATE SET
        first_seen = least(identifier.first_seen, excluded.first_seen),
        last_seen = greatest(identifier.last_seen, excluded.last_seen)
    WHERE identifier.profile_id = excluded.profile_id
"""
_ASSIGN = f"{_NEW} ON CONFLICT (type, value) DO UPDATE SET profile_id = excluded.profile_id"


class Overtaken(HeadraceError):
    """Another transaction moved an identifier or a profile between our reading and our writing. Nothing is
    written: apply again."""


def sightings_of(incoming: Iterable[Incoming]) -> Sightings:
    seen: dict[Identifier, tuple[Millis, Millis, str]] = {}
    for one in incoming:
        for found in one.identifiers:
            if (before := seen.get(found)) is None:
                seen[found] = one.ts, one.ts, one.key[0]
            else:
                seen[found] = min(before[0], one.ts), max(before[1], one.ts), before[2]
    return seen


async def find_owners(
    connection: Connection, wanted: Iterable[Identifier]
) -> tuple[dict[Identifier, str | None], dict[str, str]]:
    """The ids of the profiles that have the identifiers, as stored, and which profile each of those stands for."""
    names = list(wanted)
    owners: dict[Identifier, str | None] = dict.fromkeys(names)
    roots: dict[str, str] = {}
    if names:
        types, values = zip(*names, strict=True)
        for n, owner, root in await connection.fetch(_OWNERS, text_array(types), text_array(values)):
            owners[names[n - 1]] = owner
            roots[owner] = root
    return owners, roots


async def claim(
    connection: Connection, incoming: Sequence[Incoming], owners: Mapping[Identifier, str | None], seen: Sightings
) -> dict[Identifier, str]:
    """Write the identifiers that nobody has; return those that are ours now, with the owner they were given."""
    guessed = _likely_owners(incoming, owners)
    if not guessed:
        return {}
    rows = await connection.fetch(_CLAIM, *_columns(guessed, seen))
    return {found: guessed[found] for found in map(tuple, rows)}


async def write_sightings(connection: Connection, owners: Mapping[Identifier, str], seen: Sightings) -> None:
    """Write when identifiers that have an owner were seen. Raises Overtaken when one has another owner by now."""
    if owners and rows_written(await connection.execute(_SEE, *_columns(owners, seen))) != len(owners):
        raise Overtaken("an identifier moved to another profile")


async def assign_owners(connection: Connection, owners: Mapping[Identifier, str], seen: Sightings) -> None:
    """Give identifiers that we have claimed other owners."""
    if owners:
        await connection.execute(_ASSIGN, *_columns(owners, seen))


def _likely_owners(incoming: Iterable[Incoming], owners: Mapping[Identifier, str | None]) -> dict[Identifier, str]:
    """Owners for those that have none, as if no event connected two profiles."""
    guessed: dict[Identifier, str] = {}
    for one in incoming:
        owner = None
        missing = []
        for found in one.identifiers:
            known = owners[found] or guessed.get(found)
            if known is None:
                missing.append(found)
            elif owner is None:
                owner = known
        if missing:
            guessed.update(dict.fromkeys(missing, owner or profile_id(*one.key)))
    return guessed


def _columns(owners: Mapping[Identifier, str], seen: Sightings) -> tuple[str, ...]:
    types, values = zip(*owners, strict=True)
    firsts, lasts, sources = zip(*(seen[found] for found in owners), strict=True)
    return (
        text_array(types),
        text_array(values),
        text_array(list(owners.values())),
        number_array(firsts),
        number_array(lasts),
        text_array(sources),
    )
