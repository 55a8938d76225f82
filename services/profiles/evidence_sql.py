"""What decides whether profiles become one: their identifiers, and what once was taken apart.

Read only for the few profiles of a batch that gain an identifier or merge, which are locked.
"""

from collections.abc import Collection, Container, Mapping

from headrace.contracts.instant import Millis
from services.profiles.arrays import number_array, text_array
from services.profiles.identity import Identifier, Sides
from services.profiles.identity_rules import IdentityRules
from services.profiles.profile import Profile
from services.profiles.store import Connection

_NAMES = """
    SELECT wanted.root, identifier.type, identifier.value, identifier.first_seen, identifier.trusted
    FROM unnest($1::text::text[]) AS wanted (root)
    CROSS JOIN LATERAL (
        SELECT wanted.root AS id UNION ALL SELECT alias.profile_id FROM alias WHERE alias.root = wanted.root
    ) AS member
    JOIN identifier ON identifier.profile_id = member.id
"""
_APART = """
    SELECT apart.type, apart.value, apart.unmerge_id, apart.side
    FROM unnest($1::text::text[], $2::text::text[]) AS wanted (type, value)
    JOIN apart ON (apart.type, apart.value) = (wanted.type, wanted.value)
"""
_MAKE = """
    INSERT INTO profile (id, first_seen, last_seen)
    SELECT id, seen, seen FROM unnest($1::text::text[], $2::text::bigint[]) AS new (id, seen) ORDER BY id
    ON CONFLICT DO NOTHING
"""


async def load_names(
    connection: Connection,
    profiles: Collection[Profile],
    rules: IdentityRules,
    *,
    without: Container[Identifier] = (),
) -> None:
    """Give the profiles their identifiers, `without` those that were written for them before it is decided whose
    they become."""
    if not profiles:
        return
    found = {profile.id: profile for profile in profiles}
    for profile in profiles:
        profile.names = {}
    for root, kind, value, first_seen, trusted in await connection.fetch(_NAMES, text_array(list(found))):
        if (kind, value) in without:
            continue
        found[root].gain(kind, value, first_seen)
        if trusted and not rules.of(kind).weak:
            found[root].known = True


async def load_sides(connection: Connection, links: Collection[Identifier]) -> Sides:
    """On which sides of unmerges these identifiers stood."""
    if not links:
        return {}
    types, values = zip(*links, strict=True)
    sides: dict[Identifier, set[tuple[str, int]]] = {}
    for kind, value, unmerge, side in await connection.fetch(_APART, text_array(types), text_array(values)):
        sides.setdefault((kind, value), set()).add((unmerge, side))
    return {one: frozenset(found) for one, found in sides.items()}


async def make_own_profiles(connection: Connection, needed: Mapping[str, Millis]) -> None:
    """Make the profiles of identifiers in quarantine that are not there yet: they have no event that made them.
    `needed`: their ids, and when they are first seen."""
    if needed:
        await connection.execute(_MAKE, text_array(list(needed)), number_array(needed.values()))
