"""HTTP of forgetting, internal: asked by the profile service before it redacts erased people."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from headrace.runtime.http import admin_guard
from services.segmenter.forgetting import Forgetting

MAX_PROFILES = 10_000


class ForgetRequest(BaseModel):
    profile_ids: Annotated[list[str], Field(max_length=MAX_PROFILES)]


def forget_router(forgetting: Forgetting, *, admin_token: str) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(admin_guard(admin_token))])

    @router.post("/forget")
    async def forget(wanted: ForgetRequest) -> dict[str, Any]:
        """Take erased people out of what is kept of their changes; how far each partition is."""
        return {"items": await forgetting.forget(wanted.profile_ids), "next": None}

    return router
