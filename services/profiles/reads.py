"""Queries of the read API. A merged profile's id leads to the profile it went into."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from headrace.contracts.profile_event import encode_row
from services.profiles.history_sql import ROWS_OF
from services.profiles.spelling import Spelling, spelled
from services.profiles.tables import alias, identifier, profile

Document = dict[str, Any]
Position = tuple[int, int, int]
"""(time, output partition, seq): the order of a history."""

_LIVE = profile.c.merged_into.is_(None) & profile.c.erased.is_(False)


class Profiles:
    """Read access to live profiles."""

    def __init__(self, engine: AsyncEngine) -> None:
        # single statements: a transaction around them would cost two round trips and protect nothing
        self.engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def get(self, profile_id: str, spelling: Spelling = "sent") -> Document | None:
        """The profile that `profile_id` is or went into, with its identifiers; None when unknown or erased."""
        async with self.engine.connect() as connection:
            return await document(connection, profile_id, spelling)

    async def owner(self, kind: str, value: str) -> str | None:
        """The live profile that has the identifier, given in its canonical spelling."""
        query = select(identifier.c.profile_id).where(identifier.c.type == kind, identifier.c.value == value)
        async with self.engine.connect() as connection:
            owner = await connection.scalar(query)
            return await _root(connection, owner) if owner is not None else None

    async def page(self, after: str, limit: int, spelling: Spelling) -> list[Document]:
        """Profiles by id."""
        wanted = select(profile).where(_LIVE, profile.c.id > after).order_by(profile.c.id).limit(limit)
        async with self.engine.connect() as connection:
            return await documents(connection, wanted, spelling)

    async def count(self) -> int:
        async with self.engine.connect() as connection:
            return int(await connection.scalar(select(func.count()).select_from(profile).where(_LIVE)) or 0)

    async def history(self, profile_id: str, before: Position | None, limit: int) -> list[Document]:
        """Timeline rows that are the profile's now, newest first: its own and those of profiles merged into it,
        but for what was taken out."""
        async with self.engine.connect() as connection:
            merged = await connection.scalars(select(alias.c.profile_id).where(alias.c.root == profile_id))
            rows = await connection.execute(
                _HISTORY,
                {"family": [profile_id, *merged], "limit": limit, **_position_values(before)},
            )
            return [shown_row(dict(row)) for row in rows.mappings()]


_HISTORY = text(
    "SELECT * FROM ("  # noqa: S608
    + ROWS_OF.format(
        columns=", ".join(
            f"timeline.{name}" for name in ("q", "seq", "epoch", "time", "low", "profile_id", "kind", "payload")
        ),
        family="CAST(:family AS text[])",
    )
    + ") AS history WHERE CAST(:time AS bigint) IS NULL "
    "OR (time, q, seq) < (CAST(:time AS bigint), CAST(:q AS int), CAST(:seq AS bigint)) "
    "ORDER BY time DESC, q DESC, seq DESC LIMIT :limit"
)


def _position_values(before: Position | None) -> dict[str, int | None]:
    return dict(zip(("time", "q", "seq"), before or (None, None, None), strict=True))


async def _root(connection: AsyncConnection, profile_id: str) -> str:
    found = await connection.scalar(select(alias.c.root).where(alias.c.profile_id == profile_id))
    return found if found is not None else profile_id


async def document(connection: AsyncConnection, profile_id: str, spelling: Spelling) -> Document | None:
    """The profile that `profile_id` is or went into; None when unknown or erased."""
    looked_at = None
    while (root := await _root(connection, profile_id)) != looked_at:  # it may have gone into another meanwhile
        found = await documents(connection, select(profile).where(_LIVE, profile.c.id == root), spelling)
        if found:
            return found[0]
        looked_at = root
    return None


async def some(connection: AsyncConnection, ids: Sequence[str], spelling: Spelling) -> dict[str, Document]:
    """The live ones of these profiles, by id."""
    if not ids:
        return {}
    found = await documents(connection, select(profile).where(_LIVE, profile.c.id == any_(_array(ids))), spelling)
    return {one["id"]: one for one in found}


def _array(ids: Sequence[str]) -> ColumnElement[Any]:
    """One parameter however many there are, so that it is one statement to prepare."""
    return bindparam(None, list(ids), ARRAY(Text), unique=True)


async def documents(connection: AsyncConnection, query: Select[Any], spelling: Spelling) -> list[Document]:
    """The profiles that `query` selects, with their identifiers and whom they absorbed."""
    rows = (await connection.execute(query)).mappings().all()
    ids = [row["id"] for row in rows]
    merged: dict[str, list[str]] = {one: [] for one in ids}
    for loser, root in await connection.execute(
        select(alias.c.profile_id, alias.c.root)
        .where(alias.c.root == any_(_array(ids)))
        .order_by(alias.c.profile_id)
    ):
        merged[root].append(loser)
    identifiers = await _identifiers(connection, merged)
    hidden = {"merged_into", "erased", "trait_times"}
    return [
        {
            **{name: value for name, value in row.items() if name not in hidden},
            "traits": spelled(row["traits"], row["trait_times"], spelling),
            "identifiers": identifiers[row["id"]],
            "merged_from": merged[row["id"]],
        }
        for row in rows
    ]


async def _identifiers(connection: AsyncConnection, merged: dict[str, list[str]]) -> dict[str, list[Document]]:
    roots = {loser: root for root, losers in merged.items() for loser in losers} | {root: root for root in merged}
    found: dict[str, list[Document]] = {root: [] for root in merged}
    query = (
        select(identifier)
        .where(identifier.c.profile_id == any_(_array(list(roots))))
        .order_by(identifier.c.type, identifier.c.value)
    )
    for row in (await connection.execute(query)).mappings():
        shown = dict(row)
        found[roots[shown.pop("profile_id")]].append(shown)
    return found


def shown_row(row: Document) -> Document:
    """The record as published, with its partition."""
    numbers = {name: row[name] for name in ("seq", "epoch", "time", "low")}
    value = encode_row(**numbers, payload=row["payload"].encode())
    return {"partition": row["q"], **msgspec.json.decode(value, type=dict[str, Any])}


def positions(rows: Sequence[Document]) -> Position:
    """Where the next page begins."""
    last = rows[-1]
    return last["time"], last["partition"], last["seq"]
