"""HTTP of forgetting, internal: asked by the profile service before it redacts people or what is old."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from headrace.runtime.access.guard import GUARD
from services.segmenter.definitions import Definitions
from services.segmenter.forgetting import Forgetting
from services.segmenter.lookback import reads_back

MAX_PROFILES = 10_000
PAGE = 100


class ForgetRequest(BaseModel):
    profile_ids: Annotated[list[str], Field(max_length=MAX_PROFILES)]


def forget_router(forgetting: Forgetting, definitions: Definitions) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    @router.post("/forget")
    async def forget(wanted: ForgetRequest) -> dict[str, Any]:
        """Take erased people out of what is kept of their changes; how far each partition is."""
        return {"items": await forgetting.forget(wanted.profile_ids), "next": None}

    @router.get("/lookback")
    async def lookback(kept: Annotated[int, Query(ge=0)]) -> dict[str, Any]:
        """Ids of the definitions that read into events older than `kept` milliseconds."""
        found: list[str] = []
        after = ""
        while page := await definitions.page(after, PAGE):
            found += [one.id for one in page if reads_back(msgspec.json.decode(one.text), kept)]
            after = page[-1].id
        return {"items": found, "next": None}

    return router
