"""What the routes of every kind of definition share: showing what is stored, refusing what is wrong."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from headrace.contracts.errors import ApiError, InvalidDefinition, Problem
from headrace.contracts.instant import Millis
from services.messenger.definitions import Definitions, Kind, Stored

PATHS: dict[Kind, str] = {
    "campaign": "campaigns",
    "template": "templates",
    "block": "blocks",
    "policy": "policies",
    "vouchers": "vouchers",
}
Limit = Annotated[int, Query(ge=1, le=500)]


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
