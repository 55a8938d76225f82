"""HTTP of suppression: collecting nothing more of a customer, and collecting again."""

from typing import Any

import asyncpg
from fastapi import APIRouter
from pydantic import BaseModel, StrictStr

from headrace.contracts.errors import ApiError
from headrace.runtime.tasks import finish
from services.profiles.audit import note
from services.profiles.consent_routes import ADMIN, Actor, unknown
from services.profiles.normalise import identifier
from services.profiles.suppressing import suppress_profile, suppressed_since, unsuppress_profile
from services.profiles.suppression import Suppressor
from services.profiles.suppression_sql import lift
from services.profiles.tag_routes import Id


class SuppressedIdentifier(BaseModel):
    type: StrictStr
    value: StrictStr


def suppression_routes(pool: asyncpg.Pool, suppressor: Suppressor, region: str | None) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.get("/profiles/{profile_id}/suppress")
    async def suppressed(profile_id: Id) -> dict[str, Any]:
        """Whether, and since when."""
        found = await suppressed_since(pool, profile_id)
        if found is None:
            raise unknown()
        return {"id": found[0], "suppressed": found[1] is not None, "since": found[1]}

    @router.post("/profiles/{profile_id}/suppress")
    async def suppress(profile_id: Id, actor: Actor = ADMIN) -> dict[str, Any]:
        """Keep the record, collect nothing more of what its identifiers name, send nothing."""
        root = await finish(suppress_profile(pool, suppressor, profile_id, actor=actor))
        if root is None:
            raise unknown()
        return {"id": root, "suppressed": True}

    @router.delete("/profiles/{profile_id}/suppress")
    async def unsuppress(profile_id: Id, actor: Actor = ADMIN) -> dict[str, Any]:
        """Collect and send again, from now on."""
        root = await unsuppress_profile(pool, profile_id, actor=actor)
        if root is None:
            raise unknown()
        return {"id": root, "suppressed": False}

    @router.post("/suppressions/lift")
    async def lift_suppression(wanted: SuppressedIdentifier, actor: Actor = ADMIN) -> dict[str, bool]:
        """Collect again what names this identifier, also of a person who was erased and is a customer again."""
        canonical = identifier(wanted.type, wanted.value, region)
        async with pool.acquire() as connection, connection.transaction():
            lifted = canonical is not None and await lift(connection, suppressor, (wanted.type, canonical))
            if not lifted:
                raise ApiError(404, "not_suppressed", "This identifier is not suppressed.")
            await note(connection, actor, "lift", "", {"type": wanted.type})
        return {"success": True}

    return router
