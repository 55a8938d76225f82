"""HTTP of where a customer's traits come from."""

from typing import Any

import asyncpg
import msgspec
from fastapi import APIRouter

from headrace.contracts.errors import ApiError
from services.profiles.provenance import provenance
from services.profiles.survey_known import CUSTOMER
from services.profiles.traits import Stamp


def trait_routes(pool: asyncpg.Pool) -> APIRouter:
    router = APIRouter(prefix="/v1/profiles")

    @router.get("/{profile_id}/traits")
    async def traits(profile_id: str) -> dict[str, Any]:
        """Each trait with who said it and when: `{id, traits: {name: {value, party, source, time}}}`."""
        row = await pool.fetchrow(CUSTOMER, profile_id)
        if row is None:
            raise ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")
        stamps = msgspec.json.decode(row["trait_times"], type=dict[str, Stamp])
        return {"id": row["id"], "traits": provenance(msgspec.json.decode(row["traits"]), stamps)}

    return router
