"""A customer's timeline by what stands in it: filters, both directions, cursors that stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from headrace.contracts.event import EventType
from headrace.contracts.instant import Millis
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


# an array, since the planner reads the whole table for `= … OR IN (SELECT …)`
OF_CUSTOMER = """
    profile_id = ANY(ARRAY(SELECT CAST(:profile_id AS text) UNION ALL
                           SELECT alias.profile_id FROM alias WHERE alias.root = :profile_id))
"""
"""SQL: which rows of `timeline` are in the customer's history, its own and those of everybody merged into it."""


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
    position = tuple_(timeline.c.time, timeline.c.q, timeline.c.seq)
    columns = (timeline.c.time, timeline.c.q, timeline.c.seq)
    query: Select[tuple[object, ...]] = select(timeline).where(
        text(OF_CUSTOMER).bindparams(profile_id=profile_id), *_conditions(wanted)
    )
    if order == "newest":
        query = query.order_by(*(column.desc() for column in columns))
        query = query if place is None else query.where(position < place)
    else:
        query = query.order_by(*columns)
        query = query if place is None else query.where(position > place)
    async with engine.connect() as connection:
        rows = (await connection.execute(query.limit(limit))).mappings().all()
    return [shown_row(dict(row)) for row in rows]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    at = func.coalesce(timeline.c.ts, timeline.c.time)
    conditions: list[ColumnElement[bool]] = []
    if wanted.types:
        conditions.append(_typed(wanted.types))
    if wanted.events:
        conditions.append(_called(wanted.events))
    if wanted.sources:
        conditions.append(timeline.c.source.in_(wanted.sources))
    if wanted.kinds:
        conditions.append(or_(*(_of_kind(kind) for kind in wanted.kinds)))
    if wanted.since is not None:
        conditions.append(at >= wanted.since)
    if wanted.until is not None:
        conditions.append(at < wanted.until)
    return conditions


def _typed(types: Sequence[EventType]) -> ColumnElement[bool]:
    return timeline.c.payload.regexp_match(TYPED % "|".join(types))


def _called(names: Sequence[str]) -> ColumnElement[bool]:
    types = [_NAMED_BY_TYPE[name] for name in names if name in _NAMED_BY_TYPE]
    by_type = and_(timeline.c.event.is_(None), _typed(types)) if types else false()
    return or_(timeline.c.event.in_(names), by_type)


def _of_kind(kind: Kind) -> ColumnElement[bool]:
    match kind:
        case "event":
            return timeline.c.kind == "event"
        case "message":
            return timeline.c.source == MESSENGER
        case "consent":
            return timeline.c.event.in_(_CONSENTS) | timeline.c.event.like("% Marked as Spam")
        case "tag":
            return timeline.c.event.in_(_TAGS)
        case "identity":
            return timeline.c.kind.in_(_IDENTITY)
