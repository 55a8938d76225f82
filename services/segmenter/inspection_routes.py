"""HTTP of looking behind membership: preview, diff, verify, explain."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from services.segmenter.bodies import answer, document, draft
from services.segmenter.definitions import Definitions
from services.segmenter.forecast import Forecast
from services.segmenter.inspection import Inspection
from services.segmenter.verification import Verification


class VerifyRequest(BaseModel):
    """`sample`: a share of the customers (0.1), so many of them (500), or everybody (left out)."""

    model_config = ConfigDict(extra="forbid")

    sample: Annotated[StrictInt, Field(ge=1, le=10_000_000)] | Annotated[StrictFloat, Field(gt=0, le=1)] | None = (
        None
    )
    repair: StrictBool = False


def add_inspection_routes(
    router: APIRouter,
    definitions: Definitions,
    inspection: Inspection,
    forecast: Forecast,
    verification: Verification,
) -> None:
    @router.post("/segments/preview")
    async def preview(request: Request) -> Response:
        """Who would be in a definition, or in `{"when": …}`, now: the exact count and a sample."""
        given = await document(request)
        named = given.get("id") if isinstance(given, dict) else None
        return answer(await forecast.preview(draft(given, named if isinstance(named, str) else "preview")))

    @router.post("/segments/{segment_id}/diff")
    async def diff(segment_id: str, request: Request) -> Response:
        """Who would enter and who would leave if this definition, or `{"when": …}`, were put now."""
        return answer(await forecast.diff(draft(await document(request), segment_id)))

    @router.post("/segments/{segment_id}/verify")
    async def verify(segment_id: str, wanted: VerifyRequest | None = None) -> Response:
        """Compare live membership with the second evaluator; with `repair`, have who differs put right."""
        wanted = wanted or VerifyRequest()
        segment = await definitions.get(segment_id)
        found = await verification.run(segment.segment_ids, sample=wanted.sample, repair=wanted.repair)
        return answer(found)

    @router.get("/segments/{segment_id}/explain/{profile_id}")
    async def explain(segment_id: str, profile_id: str) -> Response:
        """Why this customer is in the segment or not."""
        await definitions.segment(segment_id)
        return answer(await inspection.explain(segment_id, profile_id))
