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

FEW = 500
"""So many profiles with a trait are all read, to be sorted. Of more, a part at a time is found."""
FREQUENT = 3
"""As many in the first part are a sign of many in all."""
PARTS = [f"{prefix}{number:02x}" for prefix in "pu" for number in range(256)]
"""How ids begin (`contracts.ids`; `u` of those that an unmerge made), in order: what `search_document` adds."""

_WITH_TRAIT = "merged_into IS NULL AND NOT erased AND traits <> '{}' AND search_document(id, traits)"
_FEW = text(f"""
    SELECT id FROM profile WHERE {_WITH_TRAIT} @> ANY(CAST(CAST(:wanted AS text[]) AS jsonb[])) LIMIT :limit
""")  # noqa: S608
_MANY = text(f"""
    SELECT found.id FROM unnest(CAST(:parts AS text[])) WITH ORDINALITY AS part (begins, n)
    CROSS JOIN LATERAL (
        SELECT id FROM profile
        WHERE {_WITH_TRAIT} @> ANY(ARRAY(
                SELECT CAST(one AS jsonb) || jsonb_build_object('', part.begins)
                FROM unnest(CAST(:wanted AS text[])) AS one))
            AND id COLLATE "C" > :after ORDER BY id COLLATE "C" LIMIT :limit
    ) AS found
    LIMIT :limit
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
    given = {"wanted": [msgspec.json.encode(one).decode() for one in documents]}
    sample = await _ids(connection, _MANY, given | {"parts": PARTS[:1], "after": "", "limit": FREQUENT})
    if len(sample) < FREQUENT:
        found = await _ids(connection, _FEW, given | {"limit": FEW + 1})
        if len(found) <= FEW:
            return sorted(one for one in found if one > after)[:limit]
    parts = [part for part in PARTS if part >= after[:3]]
    return await _ids(connection, _MANY, given | {"parts": parts, "after": after, "limit": limit})


async def _ids(connection: AsyncConnection, query: TextClause, given: dict[str, object]) -> list[str]:
    return list(await connection.scalars(query, given))
