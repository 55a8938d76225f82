"""HTTP of everything held about a customer, for the customer (GDPR, articles 15 and 20)."""

import asyncpg
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from services.profiles.audit import note
from services.profiles.consent_routes import ADMIN, Actor, unknown
from services.profiles.export import Elsewhere, export
from services.profiles.reads import Profiles
from services.profiles.tag_routes import Id


def export_routes(pool: asyncpg.Pool, profiles: Profiles, elsewhere: Elsewhere) -> APIRouter:
    router = APIRouter(prefix="/v1/profiles")

    @router.get("/{profile_id}/export")
    async def everything(profile_id: Id, actor: Actor = ADMIN) -> StreamingResponse:
        """Profile, provenance of traits, consents with their history, decisions, messages, segments, all events.
        `incomplete` names what another service did not answer."""
        found = await profiles.get(profile_id)
        if found is None:
            raise unknown()
        async with pool.acquire() as connection:
            await note(connection, actor, "export", found["id"])
        name = f"attachment; filename={found['id']}.json"
        return StreamingResponse(
            export(pool, profiles, found, elsewhere),
            media_type="application/json",
            headers={"Content-Disposition": name},
        )

    return router
