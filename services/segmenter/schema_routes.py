"""HTTP of the JSON Schema of segment definitions, for editors: they send no token."""

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from headrace.contracts.schemas import schemas


def schema_router() -> APIRouter:
    router = APIRouter(prefix="/v1")
    body = msgspec.json.encode(schemas()["segment"])

    @router.get("/schemas/segment")
    async def segment() -> Response:
        """What a definition of kind segment, list or stages may look like. No token is needed."""
        return Response(body, media_type="application/schema+json")

    return router
