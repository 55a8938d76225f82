"""A customer's timeline by what stands in it: filters, both directions, cursors that stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from headrace.contracts.event import EventType
from headrace.contracts.instant import Millis
from services.profiles.history_sql import ROWS_OF
from services.profiles.outcomes import SOURCE as MESSENGER
from services.profiles.reads import Document, Position, shown_row
from services.profiles.tables import timeline

Kind = Literal["event", "message", "consent", "tag", "identity"]
Order = Literal["newest", "oldest"]

_TEXT = r'"([^"\\]|\\.)*"'
TYPED = rf'^\{{"kind":"event","profile_id":{_TEXT},"source":{_TEXT},"message_id":{_TEXT},"type":"(%s)"'
"""A payload as JSON has its keys in the order of the record's fields. Read as text: JSON that Postgres does not
take (it knows no \\u0000) is a customer's row as well."""
_NAMED_BY_TYPE: dict[str, EventType] = {"Page Viewed": "page", "Screen Viewed": "screen"}
_CONSENTS = ("Consent Given", "Consent Withdrawn", "Unsubscribed")
_TAGS = ("Tag Added", "Tag Removed")
_IDENTITY = ("merge", "tombstone", "unmerge", "split", "erasure")


FAMILY = """
    ARRAY(SELECT CAST(:profile_id AS text)
          UNION ALL SELECT alias.profile_id FROM alias WHERE alias.root = :profile_id)
"""
"""SQL: the profile and everybody merged into it."""


def history_of(*columns: str) -> str:
    """SQL of these columns of `timeline`, of the rows that are the customer's now."""
    return ROWS_OF.format(columns=", ".join(f"timeline.{column}" for column in columns), family=FAMILY)


_COLUMNS = ("q", "seq", "epoch", "time", "low", "kind", "event", "ts", "source", "payload")
_ROWS = text(history_of(*_COLUMNS)).columns(*(timeline.c[name] for name in _COLUMNS)).subquery("history")


@dataclass(frozen=True, slots=True)
class Filter:
    """Of each that is given, one must hold; of `since` and `until` (excluded), both. Instants are the event's own
    time, a merge's is when it was."""

    types: Sequence[EventType] = ()
    events: Sequence[str] = ()
    sources: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    since: Millis | None = None
    until: Millis | None = None


async def filtered(
    engine: AsyncEngine, profile_id: str, wanted: Filter, place: Position | None, order: Order, limit: int
) -> list[Document]:
    """The rows behind `place` that pass, in order. Rows that come later stand before the first page of `newest`
    and behind the last of `oldest`: no page changes."""
    columns = (_ROWS.c.time, _ROWS.c.q, _ROWS.c.seq)
    position = tuple_(*columns)
    query: Select[tuple[object, ...]] = select(_ROWS).where(*_conditions(wanted))
    if order == "newest":
        query = query.order_by(*(column.desc() for column in columns))
        query = query if place is None else query.where(position < place)
    else:
        query = query.order_by(*columns)
        query = query if place is None else query.where(position > place)
    async with engine.connect() as connection:
        rows = (await connection.execute(query.limit(limit), {"profile_id": profile_id})).mappings().all()
    return [shown_row(dict(row)) for row in rows]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    at = func.coalesce(_ROWS.c.ts, _ROWS.c.time)
    conditions: list[ColumnElement[bool]] = []
    if wanted.types:
        conditions.append(_typed(wanted.types))
    if wanted.events:
        conditions.append(_called(wanted.events))
    if wanted.sources:
        conditions.append(_ROWS.c.source.in_(wanted.sources))
    if wanted.kinds:
        conditions.append(or_(*(_of_kind(kind) for kind in wanted.kinds)))
    if wanted.since is not None:
        conditions.append(at >= wanted.since)
    if wanted.until is not None:
        conditions.append(at < wanted.until)
    return conditions


def _typed(types: Sequence[EventType]) -> ColumnElement[bool]:
    return _ROWS.c.payload.regexp_match(TYPED % "|".join(types))


def _called(names: Sequence[str]) -> ColumnElement[bool]:
    types = [_NAMED_BY_TYPE[name] for name in names if name in _NAMED_BY_TYPE]
    by_type = and_(_ROWS.c.event.is_(None), _typed(types)) if types else false()
    return or_(_ROWS.c.event.in_(names), by_type)


def _of_kind(kind: Kind) -> ColumnElement[bool]:
    match kind:
        case "event":
            return _ROWS.c.kind == "event"
        case "message":
            return _ROWS.c.source == MESSENGER
        case "consent":
            return _ROWS.c.event.in_(_CONSENTS) | _ROWS.c.event.like("% Marked as Spam")
        case "tag":
            return _ROWS.c.event.in_(_TAGS)
        case "identity":
            return _ROWS.c.kind.in_(_IDENTITY)
