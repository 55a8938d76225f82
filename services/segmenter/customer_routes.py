"""HTTP of one customer: which segments it is in."""

from urllib.parse import quote

import httpx
from fastapi import APIRouter
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant
from services.segmenter.bodies import answer
from services.segmenter.inspection import Inspection
from services.segmenter.members import Members


def add_customer_routes(
    router: APIRouter, members: Members, inspection: Inspection, profiles: httpx.AsyncClient
) -> None:
    @router.get("/profiles/{profile_id}/segments")
    async def segments(profile_id: str) -> Response:
        """The segments that this customer is in; a merged profile answers for what it became."""
        return await _segments_of(members, await inspection.root(profile_id))

    @router.get("/lookup/{type}/{value}/segments")
    async def lookup(type: str, value: str) -> Response:
        """The segments of the customer with this identifier: "is this visitor in X?"."""
        query = f"type={quote(type, safe='')}&value={quote(value, safe='')}"
        try:
            found = await profiles.get(f"/v1/profiles/lookup?{query}")
        except httpx.HTTPError as error:
            raise ApiError(
                503, "unavailable", "The profile service does not answer; retry.", retry_after=1
            ) from error
        if found.status_code == httpx.codes.NOT_FOUND:
            raise ApiError(404, "unknown_profile", "Nobody has this identifier.")
        if found.status_code != httpx.codes.OK:
            raise ApiError(503, "unavailable", "The profile service failed; retry.", retry_after=1)
        return await _segments_of(members, found.json()["id"])


async def _segments_of(members: Members, profile_id: str) -> Response:
    _, customer = await members.customer(profile_id)
    items = [
        {
            "id": key,
            "version": held.version,
            "entered_at": format_instant(held.entered_at),
            "entry_id": held.entry_id,
        }
        for key, held in sorted(customer.members.items())
    ]
    return answer({"items": items, "next": None})
