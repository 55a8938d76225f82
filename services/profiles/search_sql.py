"""Searching profiles in Postgres, a page at a time: by identifiers and names, or by a trait.

Each list follows an index, from where the page before ended, so a page costs the same however many match.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profiles.search import Name, Range

# The operators are those of the index: byte by byte, whatever the server's collation.
_IDENTIFIERS = text("""
    SELECT found.value, found.type, coalesce(alias.root, found.profile_id) AS id
    FROM (
        SELECT near.* FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) AS range (low, high)
        CROSS JOIN LATERAL (
            SELECT value, type, profile_id FROM identifier
            WHERE value ~>=~ range.low AND value ~<~ range.high
                AND (value <> :value OR type COLLATE "C" > :type)
            ORDER BY value USING ~<~, type COLLATE "C" LIMIT :limit
        ) AS near
        ORDER BY value USING ~<~, type COLLATE "C" LIMIT :limit
    ) AS found
    LEFT JOIN alias ON alias.profile_id = found.profile_id
    ORDER BY found.value USING ~<~, found.type COLLATE "C"
""")

_NAMED = (
    "merged_into IS NULL AND NOT erased AND traits ?| '{firstName,first_name,lastName,last_name,name}'::text[]"
)


def _by(function: str) -> str:
    key = f'{function}(traits) COLLATE "C"'
    # one lower bound: with two of them Postgres begins to read at the lower one
    return f"""
        (SELECT {key} AS key, id COLLATE "C" AS id,
            profile_name(traits) AS name, profile_surname(traits) AS surname
        FROM profile WHERE {_NAMED} AND search_key(:query) <> '' AND {key} < search_key(:query) || chr(1114111)
            AND ({key}, id COLLATE "C") > (greatest(:key COLLATE "C", search_key(:query)), :id)
        ORDER BY 1, 2 LIMIT :limit)
    """  # noqa: S608


_NAMES = text(f"""
    SELECT key, id,
        key COLLATE "C" = (SELECT min(one COLLATE "C") FROM unnest(ARRAY[name, surname]) AS one
                           WHERE starts_with(one, search_key(:query))) AS first
    FROM ({_by("profile_name")} UNION ALL {_by("profile_surname")}) AS found
    ORDER BY key COLLATE "C", id LIMIT :limit
""")  # noqa: S608

PROBED = 3_000
"""How many profiles are looked at one by one before the index of traits is asked, which finds all that match and
sorts them: whatever is more frequent than a page in so many is found sooner without it."""
_LIVE = "merged_into IS NULL AND NOT erased"
_TRAIT_NEAR = text(f"""
    SELECT id FROM (
        SELECT id, traits FROM profile WHERE {_LIVE} AND id > :after ORDER BY id LIMIT {PROBED}
    ) AS near WHERE traits @> ANY(CAST(CAST(:wanted AS text[]) AS jsonb[])) LIMIT :limit
""")  # noqa: S608
_TRAIT = text(f"""
    WITH found AS MATERIALIZED (
        SELECT id FROM profile
        WHERE {_LIVE} AND traits <> '{{}}' AND traits @> ANY(CAST(CAST(:wanted AS text[]) AS jsonb[]))
    )
    SELECT id FROM found WHERE id > :after ORDER BY id LIMIT :limit
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Named:
    """A profile that was found by its name. `key` is the name as it is compared; `first`: no other of its names
    that begins so comes before it."""

    key: str = ""
    id: str = ""
    first: bool = True


async def by_identifier(
    connection: AsyncConnection, ranges: Sequence[Range], after: Name, limit: int
) -> list[tuple[Name, str]]:
    """The next identifiers in the ranges, with whose they are, in order."""
    value, kind = after
    lows = [max(low, value) for low, _ in ranges]
    highs = [high for _, high in ranges]
    given = {"lows": lows, "highs": highs, "value": value, "type": kind, "limit": limit}
    found = await connection.execute(_IDENTIFIERS, given)
    return [((row.value, row.type), row.id) for row in found]


async def by_name(connection: AsyncConnection, query: str, after: Named, limit: int) -> list[Named]:
    """The next profiles whose name begins with `query`, first name or last name first."""
    given = {"query": query, "key": after.key, "id": after.id, "limit": limit}
    return [Named(row.key, row.id, row.first) for row in await connection.execute(_NAMES, given)]


async def by_trait(connection: AsyncConnection, documents: Sequence[object], after: str, limit: int) -> list[str]:
    """Ids of the next profiles whose traits contain one of the documents, ascending."""
    wanted = {"wanted": [msgspec.json.encode(one).decode() for one in documents], "after": after, "limit": limit}
    near = await _ids(connection, _TRAIT_NEAR, wanted)
    return near if len(near) == limit else await _ids(connection, _TRAIT, wanted)


async def _ids(connection: AsyncConnection, query: TextClause, given: dict[str, object]) -> list[str]:
    return list(await connection.scalars(query, given))
