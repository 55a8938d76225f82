"""What the routes of every kind of definition share: reading a body, showing what is stored."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from headrace.contracts.documents import load_document
from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import Millis
from services.messenger.definitions import Definitions, Kind, Stored

MAX_BODY = 512 * 1024
PATHS: dict[Kind, str] = {
    "campaign": "campaigns",
    "template": "templates",
    "block": "blocks",
    "policy": "policies",
    "vouchers": "vouchers",
}
Limit = Annotated[int, Query(ge=1, le=500)]


async def read_document(request: Request, expected_id: str) -> Any:
    """The body's definition, YAML or JSON. Its id may be left out; it must not be another than the path's."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise ApiError(413, "too_large", f"A definition has at most {MAX_BODY} bytes.")
    try:
        document = load_document(raw.decode())
    except UnicodeDecodeError as error:
        raise ApiError(400, "not_utf8", "Send the definition as UTF-8.") from error
    if not isinstance(document, dict):
        return document
    if document.setdefault("id", expected_id) != expected_id:
        raise InvalidDefinition([Problem("id", "differs from the path", f"write id: {expected_id}")])
    return document


def refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidDefinition(problems)


async def found(definitions: Definitions, kind: Kind, definition_id: str) -> Stored:
    stored = await definitions.get(kind, definition_id)
    if stored is None:
        raise ApiError(404, "not_found", f"There is no {kind} {definition_id!r}; see /v1/{PATHS[kind]}.")
    return stored


async def delete(definitions: Definitions, kind: Kind, definition_id: str, now: Millis) -> dict[str, Any]:
    await found(definitions, kind, definition_id)
    await definitions.delete(kind, definition_id, now)
    return {"id": definition_id, "deleted": True}


def accepted(stored: Stored) -> dict[str, Any]:
    return {"id": stored.id, "version": stored.version, "status": stored.state}


def shown(stored: Stored) -> dict[str, Any]:
    return {**stored.body, "version": stored.version, "status": stored.state, "updated_at": stored.updated_at}


def add_reading(router: APIRouter, definitions: Definitions, kind: Kind) -> None:
    """`GET` of one and of all."""

    @router.get(f"/{PATHS[kind]}/{{definition_id}}", name=f"get_{kind}")
    async def get(definition_id: str) -> dict[str, Any]:
        return shown(await found(definitions, kind, definition_id))

    @router.get(f"/{PATHS[kind]}", name=f"list_{PATHS[kind]}")
    async def page(cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        items = await definitions.page(kind, cursor, limit)
        return {"items": [shown(each) for each in items], "next": items[-1].id if len(items) == limit else None}
