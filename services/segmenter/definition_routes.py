"""HTTP of definitions: put one, look at one or all, who is in it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from headrace.contracts.instant import format_instant
from headrace.contracts.segment import StagesDefinition, parse_segment
from services.segmenter.bodies import Limit, answer, document, identified
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.definitions import Definitions
from services.segmenter.intervals import UNKNOWN
from services.segmenter.members import Member, Members
from services.segmenter.membership_history import LastDay, MembershipHistory
from services.segmenter.stored_segment import Kind, Status, StoredSegment

Send = Callable[[], Awaitable[None]]
"""Have what was changed taken into the stream. Raises ApiError 503."""


def add_definition_routes(
    router: APIRouter,
    cut_points: CutPointKeeper,
    definitions: Definitions,
    members: Members,
    history: MembershipHistory,
    send: Send,
) -> None:
    @router.put("/segments/{segment_id}")
    async def put(segment_id: str, request: Request) -> Response:
        """Create or change a segment, list or stages (YAML or JSON). An unchanged definition keeps its version."""
        definition = parse_segment(identified(await document(request), segment_id))
        await cut_points.prepare(definition)
        version = await definitions.put(definition)
        await send()
        return answer({"id": segment_id, "version": version, "status": (await definitions.get(segment_id)).status})

    @router.get("/segments")
    async def page(
        cursor: str | None = None, limit: Limit = 100, kind: Kind | None = None, status: Status | None = None
    ) -> Response:
        """Every definition, by id; of one kind, or in one state."""
        found = await definitions.page(cursor or "", limit, kind=kind, status=status)
        ids = [key for segment in found for key in segment.segment_ids]
        sizes, moved = await members.sizes(ids), await history.last_day(ids)
        items = [shown(segment, sizes, moved) for segment in found]
        return answer({"items": items, "next": found[-1].id if len(found) == limit else None})

    @router.get("/segments/{segment_id}")
    async def get(segment_id: str) -> Response:
        """A definition with its size; of stages with each stage's. Also one of their segments."""
        segment = await definitions.get(segment_id)
        ids = segment.segment_ids
        sizes, moved = await members.sizes(ids), await history.last_day(ids)
        return answer(
            {**shown(segment, sizes, moved), **_stages(segment, sizes), "definition": segment.definition}
        )

    @router.get("/segments/{segment_id}/members")
    async def members_of(
        segment_id: str, at: str | None = None, cursor: str | None = None, limit: Limit = 100
    ) -> Response:
        """The members by profile id, a page at a time; or who was one at the instant `at`, with their count."""
        await definitions.segment(segment_id)
        if at is None:
            found, following = await members.page(segment_id, cursor, limit)
            return answer({"items": [_member(member) for member in found], "next": following})
        instant = history.past(at)
        found, following = await history.members_at(segment_id, instant, cursor, limit)
        count = await history.count_at(segment_id, instant)
        return answer({"items": [_member(member) for member in found], "next": following, "count": count})


def shown(segment: StoredSegment, sizes: Mapping[str, int], moved: Mapping[str, LastDay]) -> dict[str, Any]:
    """What lists of segments say of each. `sizes` and `moved`: by segment id."""
    ids = segment.segment_ids
    return {
        "id": segment.id,
        "kind": segment.kind,
        "name": segment.name,
        "version": segment.version,
        "status": segment.status,
        "progress": segment.progress,
        "size": sum(sizes[key] for key in ids),
        "added_24h": sum(moved[key].added for key in ids),
        "dropped_24h": sum(moved[key].dropped for key in ids),
        "updated_at": segment.updated_at,
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "profile_id": member.profile_id,
        "version": member.version,
        "entered_at": None if member.entered_at == UNKNOWN else format_instant(member.entered_at),
        "entry_id": member.entry_id,
    }


def _stages(segment: StoredSegment, sizes: Mapping[str, int]) -> dict[str, Any]:
    if segment.stages is not None:
        return {"belongs_to": segment.stages}
    definition = segment.parse()
    if not isinstance(definition, StagesDefinition):
        return {}
    parts = zip(definition.stages, definition.segments(), strict=True)
    return {
        "stages": [
            {"id": stage.id, "segment_id": part.id, "name": stage.name or stage.id, "size": sizes[part.id]}
            for stage, part in parts
        ]
    }
