"""HTTP of the export of members: streamed a page at a time, so that its size does not matter."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

import asyncpg
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from headrace.contracts.instant import format_instant
from headrace.runtime.access.guard import GUARD
from services.segmenter.definitions import Definitions
from services.segmenter.export import MEDIA_TYPES, ExportedMember, Format, head, rows
from services.segmenter.intervals import UNKNOWN
from services.segmenter.members import Member, Members
from services.segmenter.membership_history import MembershipHistory

PAGE = 1_000

Page: TypeAlias = Callable[[str | None], Awaitable[tuple[Sequence[Member], str | None]]]

_PROFILES = """
    SELECT id, user_id, traits ->> 'email' AS email, traits ->> 'phone' AS phone
    FROM profiles.profile_v1 WHERE id = ANY($1)
"""


def export_router(
    definitions: Definitions,
    members: Members,
    history: MembershipHistory,
    pool: "asyncpg.Pool[asyncpg.Record]",
) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    async def export(segment_id: str, at: str | None, form: Format) -> StreamingResponse:
        await definitions.segment(segment_id)
        pages = _pages_of(segment_id, members, history, None if at is None else history.past(at))
        first = await pages(None)  # what fails at once is answered with an error, not with half a file
        named = {"Content-Disposition": f'attachment; filename="{segment_id}.{form}"'}
        return StreamingResponse(_stream(pool, form, first, pages), media_type=MEDIA_TYPES[form], headers=named)

    @router.get("/segments/{segment_id}/members.csv")
    async def as_csv(segment_id: str, at: str | None = None) -> StreamingResponse:
        """Every member, now or as of `at`, with the identifiers of its profile. What a spreadsheet would take for
        a formula (also +420…) has an apostrophe in front."""
        return await export(segment_id, at, "csv")

    @router.get("/segments/{segment_id}/members.ndjson")
    async def as_ndjson(segment_id: str, at: str | None = None) -> StreamingResponse:
        """The same, an object a line."""
        return await export(segment_id, at, "ndjson")

    return router


def _pages_of(segment_id: str, members: Members, history: MembershipHistory, at: int | None) -> Page:
    async def live(cursor: str | None) -> tuple[Sequence[Member], str | None]:
        return await members.page(segment_id, cursor, PAGE)

    async def past(cursor: str | None) -> tuple[Sequence[Member], str | None]:
        return await history.members_at(segment_id, at or 0, cursor, PAGE)

    return live if at is None else past


async def _stream(
    pool: "asyncpg.Pool[asyncpg.Record]", form: Format, first: tuple[Sequence[Member], str | None], pages: Page
) -> AsyncIterator[bytes]:
    yield head(form)
    found, cursor = first
    while True:
        if found:
            yield rows(form, await _exported(pool, found))
        if cursor is None:
            return
        found, cursor = await pages(cursor)


async def _exported(pool: "asyncpg.Pool[asyncpg.Record]", members: Sequence[Member]) -> list[ExportedMember]:
    """With what the profiles say now: an erased person's are gone."""
    found = await pool.fetch(_PROFILES, [member.profile_id for member in members])
    profiles = {row["id"]: (row["user_id"], row["email"], row["phone"]) for row in found}
    return [
        ExportedMember(
            member.profile_id,
            *profiles.get(member.profile_id, (None, None, None)),
            None if member.entered_at == UNKNOWN else format_instant(member.entered_at),
            member.version,
            member.entry_id,
        )
        for member in members
    ]
