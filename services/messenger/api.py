"""The messenger's HTTP API: definitions, messages, reports (DESIGN §5)."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.errors import ApiError, HeadraceError, Problem
from headrace.contracts.instant import Millis
from headrace.contracts.template import Template, parse_template
from headrace.runtime.http import Check, admin_guard, create_app
from headrace.runtime.metrics import Metrics
from services.messenger.bodies import definition_document
from services.messenger.definition_http import Limit, accepted, add_reading, delete, found, refuse
from services.messenger.definitions import DIRECT, Definitions
from services.messenger.moves import Moves
from services.messenger.program import hidden_segments
from services.messenger.reasons import sentence
from services.messenger.reports import Key, MessageFilter, Reports
from services.messenger.segmenter import SegmenterUnavailable
from services.messenger.template_check import check

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, chosen in `main`."""

    definitions: Definitions
    reports: Reports
    segments: "HiddenSegments"
    moves: Moves
    clock: Callable[[], Millis]
    on_definition: Callable[[], None]


class HiddenSegments(Protocol):
    async def define(self, segment_id: str, name: str, when: Mapping[str, Any]) -> None:
        """Have this segment. Raises SegmenterUnavailable, or HeadraceError with what is wrong with it."""
        ...

    async def remove(self, segment_id: str) -> None:
        """Have this segment no more; that is fine if there is none. Raises SegmenterUnavailable."""
        ...


def build_app(
    services: Services,
    public: APIRouter,
    *,
    further: Sequence[APIRouter] = (),
    admin_token: str,
    metrics: Metrics,
    checks: Mapping[str, Check],
) -> FastAPI:
    app = create_app("Headrace messenger", metrics=metrics, checks=checks)
    guarded = APIRouter(prefix="/v1", dependencies=[Depends(admin_guard(admin_token))])
    _add_templates(guarded, services)
    _add_campaigns(guarded, services)
    _add_messages(guarded, services)
    for router in further:
        guarded.include_router(router)
    app.include_router(guarded)
    app.include_router(public)
    return app


def _add_templates(router: APIRouter, services: Services) -> None:
    definitions = services.definitions

    @router.put("/templates/{template_id}")
    async def put_template(template_id: str, request: Request) -> dict[str, Any]:
        template = parse_template(await definition_document(request, template_id))
        refuse(check(template, await definitions.all_blocks()))
        users = await definitions.campaigns_using(template_id)
        await _refuse_other_channel(definitions, template, users)
        return accepted(await definitions.put("template", template, services.clock()))

    @router.delete("/templates/{template_id}")
    async def delete_template(template_id: str) -> dict[str, Any]:
        users = await definitions.campaigns_using(template_id)
        if users:
            raise ApiError(409, "in_use", f"Delete first what sends this template: {', '.join(users)}.")
        return await delete(definitions, "template", template_id, services.clock())

    add_reading(router, definitions, "template")


def _add_campaigns(router: APIRouter, services: Services) -> None:
    definitions = services.definitions

    @router.put("/campaigns/{campaign_id}")
    async def put_campaign(campaign_id: str, request: Request) -> dict[str, Any]:
        campaign = parse_campaign(await definition_document(request, campaign_id))
        if campaign_id == DIRECT:
            refuse([Problem("id", "is what messages sent by hand stand under", "choose another id")])
        await _refuse_wrong_template(definitions, campaign)
        await _define_branches(services.segments, campaign)
        stored = await definitions.put("campaign", campaign, services.clock())
        services.on_definition()
        return accepted(stored)

    @router.post("/campaigns/{campaign_id}/move")
    async def move(campaign_id: str) -> dict[str, Any]:
        """Let who is inside go on with the current version, from the step where they stand."""
        stored = await found(definitions, "campaign", campaign_id)
        done = await services.moves.move(campaign_id, stored.version, services.clock())
        services.on_definition()
        return {"id": campaign_id, "version": stored.version, "moved": done.moved, "stayed": done.stayed}

    @router.delete("/campaigns/{campaign_id}")
    async def delete_campaign(campaign_id: str) -> dict[str, Any]:
        unused = await definitions.branches_of_none_but(campaign_id)
        answer = await delete(definitions, "campaign", campaign_id, services.clock())
        services.on_definition()
        await _remove_branches(services.segments, unused)
        return answer

    add_reading(router, definitions, "campaign")


def _add_messages(router: APIRouter, services: Services) -> None:
    @router.get("/messages")
    async def messages(
        profile_id: str | None = None,
        campaign_id: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: Limit = 100,
        content: bool = False,
    ) -> dict[str, Any]:
        """`content`, of one customer only: with address and text."""
        if content and profile_id is None:
            raise ApiError(400, "invalid_request", "Name the customer: content goes with profile_id.")
        after = _read_cursor(cursor) if cursor else None
        wanted = MessageFilter(profile_id, campaign_id, status)
        messages_found = await services.reports.messages(wanted, after, limit, content=content)
        items = [{**item, "reason_text": sentence(item["reason"])} for item in messages_found]
        following = _write_cursor(items[-1]) if len(items) == limit else None
        return {"items": items, "next": following}


async def _define_branches(segments: HiddenSegments, campaign: CampaignDefinition) -> None:
    """Before the campaign is stored: whoever comes to a branch finds its segment there."""
    for segment_id, when in hidden_segments(campaign).items():
        try:
            await segments.define(segment_id, f"Branch of {campaign.name}"[:200], when)
        except SegmenterUnavailable as error:
            raise ApiError(503, "unavailable", "The segmenter does not answer; repeat.", retry_after=1) from error
        except HeadraceError as error:
            refuse([Problem("steps", f"a branch's condition is refused: {error}")])


async def _remove_branches(segments: HiddenSegments, segment_ids: Iterable[str]) -> None:
    """What is left behind because the segmenter does not answer costs a little, and does no harm."""
    try:
        for segment_id in segment_ids:
            await segments.remove(segment_id)
    except SegmenterUnavailable as error:
        log.warning("branch_left_behind", error=str(error))


async def _refuse_wrong_template(definitions: Definitions, campaign: CampaignDefinition) -> None:
    """A template may be put after its campaign; one that is there must fit."""
    for path, send in campaign.sends:
        for template_id in send.template_ids:
            template = await definitions.get("template", template_id)
            if template is not None and template.body["channel"] not in (*send.channels, "preferred"):
                problem = f"{template.id} is a template for {template.body['channel']}"
                refuse([Problem(f"steps.{path}.send", problem, f"use one for {' or '.join(send.channels)}")])


async def _refuse_other_channel(definitions: Definitions, template: Template, users: list[str]) -> None:
    current = await definitions.get("template", template.id)
    if users and current is not None and current.body["channel"] != template.channel:
        problem = f"{', '.join(users)} sends it by {current.body['channel']}"
        refuse([Problem("channel", problem, "use another id for the other channel")])


def _write_cursor(item: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{item['created_at']}.{item['id']}".encode()).decode()


def _read_cursor(cursor: str) -> Key:
    try:
        created_at, _, message_id = base64.urlsafe_b64decode(cursor).decode().partition(".")
        return Key(int(created_at), message_id)
    except (ValueError, binascii.Error) as error:
        raise ApiError(400, "bad_cursor", "Pass `next` of the page before, unchanged.") from error
