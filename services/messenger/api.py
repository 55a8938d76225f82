"""The messenger's HTTP API: definitions, messages, reports (DESIGN §5)."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from headrace.contracts.campaign import CampaignDefinition, parse_campaign
from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import Millis
from headrace.contracts.template import Template, parse_template
from headrace.runtime.http import Check, admin_guard, create_app
from headrace.runtime.metrics import Metrics
from services.messenger.definitions import Definitions, Kind, Stored
from services.messenger.render import check
from services.messenger.reports import Key, MessageFilter, Reports

_MAX_BODY = 512 * 1024
Limit = Annotated[int, Query(ge=1, le=500)]


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, chosen in `main`."""

    definitions: Definitions
    reports: Reports
    clock: Callable[[], Millis]
    on_definition: Callable[[], None]


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
        template = parse_template(await _document(request, template_id))
        _refuse(check(template))
        users = await definitions.campaigns_using(template_id)
        await _refuse_other_channel(definitions, template, users)
        return _accepted(await definitions.put("template", template, services.clock()))

    @router.delete("/templates/{template_id}")
    async def delete_template(template_id: str) -> dict[str, Any]:
        users = await definitions.campaigns_using(template_id)
        if users:
            raise ApiError(409, "in_use", f"Delete first what sends this template: {', '.join(users)}.")
        return await _delete(services, "template", template_id)

    _add_reading(router, services, "template")


def _add_campaigns(router: APIRouter, services: Services) -> None:
    definitions = services.definitions

    @router.put("/campaigns/{campaign_id}")
    async def put_campaign(campaign_id: str, request: Request) -> dict[str, Any]:
        campaign = parse_campaign(await _document(request, campaign_id))
        await _refuse_wrong_template(definitions, campaign)
        stored = await definitions.put("campaign", campaign, services.clock())
        services.on_definition()
        return _accepted(stored)

    @router.delete("/campaigns/{campaign_id}")
    async def delete_campaign(campaign_id: str) -> dict[str, Any]:
        answer = await _delete(services, "campaign", campaign_id)
        services.on_definition()
        return answer

    _add_reading(router, services, "campaign")


def _add_reading(router: APIRouter, services: Services, kind: Kind) -> None:
    @router.get(f"/{kind}s/{{definition_id}}", name=f"get_{kind}")
    async def get(definition_id: str) -> dict[str, Any]:
        return _shown(await _found(services, kind, definition_id))

    @router.get(f"/{kind}s", name=f"list_{kind}s")
    async def page(cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        found = await services.definitions.page(kind, cursor, limit)
        return {"items": [_shown(each) for each in found], "next": found[-1].id if len(found) == limit else None}


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
        items = await services.reports.messages(wanted, after, limit, content=content)
        following = _write_cursor(items[-1]) if len(items) == limit else None
        return {"items": items, "next": following}


async def _document(request: Request, expected_id: str) -> Any:
    """The body's definition, YAML or JSON. Its id may be left out; it must not be another than the path's."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _MAX_BODY:
            raise ApiError(413, "too_large", f"A definition has at most {_MAX_BODY} bytes.")
    try:
        document = load_document(raw.decode())
    except UnicodeDecodeError as error:
        raise ApiError(400, "not_utf8", "Send the definition as UTF-8.") from error
    if not isinstance(document, dict):
        return document
    if document.setdefault("id", expected_id) != expected_id:
        raise InvalidDefinition([Problem("id", "differs from the path", f"write id: {expected_id}")])
    return document


async def _refuse_wrong_template(definitions: Definitions, campaign: CampaignDefinition) -> None:
    """A template may be put after its campaign; one that is there must fit."""
    for path, send in campaign.sends:
        for template_id in send.template_ids:
            template = await definitions.get("template", template_id)
            if template is not None and template.body["channel"] not in (*send.channels, "preferred"):
                problem = f"{template.id} is a template for {template.body['channel']}"
                _refuse([Problem(f"steps.{path}.send", problem, f"use one for {' or '.join(send.channels)}")])


async def _refuse_other_channel(definitions: Definitions, template: Template, users: list[str]) -> None:
    current = await definitions.get("template", template.id)
    if users and current is not None and current.body["channel"] != template.channel:
        problem = f"{', '.join(users)} sends it by {current.body['channel']}"
        _refuse([Problem("channel", problem, "use another id for the other channel")])


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidDefinition(problems)


async def _found(services: Services, kind: Kind, definition_id: str) -> Stored:
    stored = await services.definitions.get(kind, definition_id)
    if stored is None:
        raise ApiError(404, "not_found", f"There is no {kind} {definition_id!r}; see /v1/{kind}s.")
    return stored


async def _delete(services: Services, kind: Kind, definition_id: str) -> dict[str, Any]:
    await _found(services, kind, definition_id)
    await services.definitions.delete(kind, definition_id, services.clock())
    return {"id": definition_id, "deleted": True}


def _accepted(stored: Stored) -> dict[str, Any]:
    return {"id": stored.id, "version": stored.version, "status": stored.state}


def _shown(stored: Stored) -> dict[str, Any]:
    return {**stored.body, "version": stored.version, "status": stored.state, "updated_at": stored.updated_at}


def _write_cursor(item: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{item['created_at']}.{item['id']}".encode()).decode()


def _read_cursor(cursor: str) -> Key:
    try:
        created_at, _, message_id = base64.urlsafe_b64decode(cursor).decode().partition(".")
        return Key(int(created_at), message_id)
    except (ValueError, binascii.Error) as error:
        raise ApiError(400, "bad_cursor", "Pass `next` of the page before, unchanged.") from error
