"""HTTP of the segmenter (DESIGN §5): definitions and their life, members, explanations."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import Response

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import format_instant
from headrace.contracts.segment import parse_segment
from headrace.runtime.http import Check, admin_guard, create_app
from headrace.runtime.metrics import Metrics
from services.segmenter.controls import Controls, ProfilesUnavailable
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.definitions import Definitions, StoredSegment
from services.segmenter.inspection import Inspection
from services.segmenter.intervals import UNKNOWN
from services.segmenter.members import Member, Members
from services.segmenter.membership_history import LastDay, MembershipHistory

MAX_BODY = 256 * 1024
Limit = Annotated[int, Query(ge=1, le=1000)]

_json = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, chosen in `main`."""

    definitions: Definitions
    controls: Controls
    members: Members
    inspection: Inspection
    history: MembershipHistory
    cut_points: CutPointKeeper
    profiles: httpx.AsyncClient


def build_app(
    services: Services,
    *,
    admin_token: str,
    metrics: Metrics,
    checks: Mapping[str, Check],
    first: Sequence[APIRouter] = (),
) -> FastAPI:
    """`first`: routes that would be taken for a segment's id otherwise."""
    app = create_app("Headrace segmenter", metrics=metrics, checks=checks)
    for special in first:
        app.include_router(special)
    router = APIRouter(prefix="/v1", dependencies=[Depends(admin_guard(admin_token))])
    _add_definitions(router, services)
    _add_life(router, services)
    _add_inspection(router, services)
    _add_customers(router, services)
    app.include_router(router)
    return app


def _add_definitions(router: APIRouter, services: Services) -> None:
    definitions, members, history = services.definitions, services.members, services.history

    @router.put("/segments/{segment_id}")
    async def put(segment_id: str, request: Request) -> Response:
        """Create or change a segment (YAML or JSON). An unchanged definition keeps its version."""
        definition = parse_segment(_identified(await _document(request), segment_id))
        await services.cut_points.prepare(definition)
        version = await definitions.put(definition)
        await _send(services.controls)
        return _answer(
            {"id": segment_id, "version": version, "status": (await definitions.get(segment_id)).status}
        )

    @router.get("/segments")
    async def page(cursor: str | None = None, limit: Limit = 100) -> Response:
        """Every segment, by id."""
        found = await definitions.page(cursor or "", limit)
        ids = [segment.id for segment in found]
        sizes, moved = await members.sizes(ids), await history.last_day(ids)
        items = [_shown(segment, sizes[segment.id], moved[segment.id]) for segment in found]
        return _answer({"items": items, "next": found[-1].id if len(found) == limit else None})

    @router.get("/segments/{segment_id}")
    async def get(segment_id: str) -> Response:
        segment = await definitions.get(segment_id)
        size = (await members.sizes([segment_id]))[segment_id]
        moved = (await history.last_day([segment_id]))[segment_id]
        return _answer({**_shown(segment, size, moved), "definition": segment.definition})

    @router.get("/segments/{segment_id}/members")
    async def members_of(
        segment_id: str, at: str | None = None, cursor: str | None = None, limit: Limit = 100
    ) -> Response:
        """The members by profile id, a page at a time; or who was one at the instant `at`, with their count."""
        await definitions.get(segment_id)
        if at is None:
            found, following = await members.page(segment_id, cursor, limit)
            return _answer({"items": [_member(member) for member in found], "next": following})
        instant = history.past(at)
        found, following = await history.members_at(segment_id, instant, cursor, limit)
        count = await history.count_at(segment_id, instant)
        return _answer({"items": [_member(member) for member in found], "next": following, "count": count})


def _add_life(router: APIRouter, services: Services) -> None:
    definitions = services.definitions

    @router.delete("/segments/{segment_id}")
    async def delete(segment_id: str) -> Response:
        """Delete the segment; its members exit."""
        version = await definitions.change(segment_id, "delete")
        await _send(services.controls)
        return _answer({"id": segment_id, "version": version, "status": "deleted"})

    @router.post("/segments/{segment_id}/pause")
    async def pause(segment_id: str) -> Response:
        """Membership stays as it is until the segment is resumed."""
        version = await definitions.change(segment_id, "pause")
        await _send(services.controls)
        return _answer({"id": segment_id, "version": version, "status": "paused"})

    @router.post("/segments/{segment_id}/resume")
    async def resume(segment_id: str) -> Response:
        """Bring membership up to date and go on."""
        version = await definitions.change(segment_id, "resume")
        await _send(services.controls)
        return _answer(
            {"id": segment_id, "version": version, "status": (await definitions.get(segment_id)).status}
        )


def _add_inspection(router: APIRouter, services: Services) -> None:
    inspection = services.inspection

    @router.post("/segments/preview")
    async def preview(request: Request) -> Response:
        """Who would be in `{"when": …}` now: the exact count and a sample."""
        document = await _document(request)
        given = document if isinstance(document, dict) else {}
        definition = parse_segment({"kind": "segment", "id": "preview", "name": "Preview", **given})
        return _answer(await inspection.preview(definition))

    @router.post("/segments/{segment_id}/verify")
    async def verify(segment_id: str) -> Response:
        """Compare live membership with a recomputation from history."""
        await services.definitions.get(segment_id)
        return _answer(await inspection.verify(segment_id))

    @router.get("/segments/{segment_id}/explain/{profile_id}")
    async def explain(segment_id: str, profile_id: str) -> Response:
        """Why this customer is in the segment or not."""
        await services.definitions.get(segment_id)
        return _answer(await inspection.explain(segment_id, profile_id))


def _add_customers(router: APIRouter, services: Services) -> None:
    @router.get("/profiles/{profile_id}/segments")
    async def segments(profile_id: str) -> Response:
        """The segments that this customer is in; a merged profile answers for what it became."""
        return await _segments_of(services, await services.inspection.root(profile_id))

    @router.get("/lookup/{type}/{value}/segments")
    async def lookup(type: str, value: str) -> Response:
        """The segments of the customer with this identifier: "is this visitor in X?"."""
        query = f"type={quote(type, safe='')}&value={quote(value, safe='')}"
        try:
            answer = await services.profiles.get(f"/v1/profiles/lookup?{query}")
        except httpx.HTTPError as error:
            raise ApiError(
                503, "unavailable", "The profile service does not answer; retry.", retry_after=1
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ApiError(404, "unknown_profile", "Nobody has this identifier.")
        if answer.status_code != httpx.codes.OK:
            raise ApiError(503, "unavailable", "The profile service failed; retry.", retry_after=1)
        return await _segments_of(services, answer.json()["id"])


async def _segments_of(services: Services, profile_id: str) -> Response:
    _, customer = await services.members.customer(profile_id)
    items = [
        {
            "id": key,
            "version": held.version,
            "entered_at": format_instant(held.entered_at),
            "entry_id": held.entry_id,
        }
        for key, held in sorted(customer.members.items())
    ]
    return _answer({"items": items, "next": None})


def _member(member: Member) -> dict[str, Any]:
    return {
        "profile_id": member.profile_id,
        "version": member.version,
        "entered_at": None if member.entered_at == UNKNOWN else format_instant(member.entered_at),
        "entry_id": member.entry_id,
    }


def _shown(segment: StoredSegment, size: int, moved: LastDay) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "version": segment.version,
        "status": segment.status,
        "progress": segment.progress,
        "size": size,
        "added_24h": moved.added,
        "dropped_24h": moved.dropped,
        "updated_at": segment.updated_at,
    }


async def _send(controls: Controls) -> None:
    """Have the change taken into the stream before we say that it is accepted."""
    try:
        await controls.flush()
    except ProfilesUnavailable as error:
        controls.wake()
        raise ApiError(
            503, "unavailable", "Stored, and applied once the profile service answers.", retry_after=1
        ) from error


async def _document(request: Request) -> Any:
    body = await request.body()
    if len(body) > MAX_BODY:
        raise ApiError(413, "too_large", f"A definition has at most {MAX_BODY} bytes.")
    try:
        # in a thread: a long text takes seconds, and this process has memberships to keep
        return await asyncio.to_thread(load_document, body.decode())
    except UnicodeDecodeError as error:
        raise InvalidDefinition([Problem("", "is not UTF-8 text", "send YAML or JSON in UTF-8")]) from error


def _identified(document: Any, segment_id: str) -> Any:
    """The path names the segment; a body that names another is a mistake."""
    if not isinstance(document, dict):
        return document
    if document.get("id", segment_id) != segment_id:
        raise InvalidDefinition(
            [Problem("id", f"is not {segment_id!r} as in the path", f"write id: {segment_id}")]
        )
    return {**document, "id": segment_id}


def _answer(body: Mapping[str, Any]) -> Response:
    return Response(_json.encode(body), media_type="application/json")
