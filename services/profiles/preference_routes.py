"""HTTP of communication preferences: channels, topics, how many messages a month."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from headrace.contracts.communication import MAX_MONTHLY
from headrace.runtime.tasks import finish
from services.profiles.consent_routes import ADMIN, Actor, Slug, unknown
from services.profiles.identity_rules import IdentityRules
from services.profiles.preferring import set_preferences
from services.profiles.tag_routes import Id

Topic = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Names = Annotated[list[Slug], Field(max_length=50)]


class Preferences(BaseModel):
    """What is left out restricts nothing."""

    model_config = ConfigDict(extra="forbid")

    channels: Names | None = None
    topics: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]], Field(max_length=50)] | None = (
        None
    )
    monthly_maximum: Annotated[StrictInt, Field(ge=0, le=MAX_MONTHLY)] | None = None


def preference_routes(
    pool: asyncpg.Pool, partitions: int, wake: Callable[[Iterable[int]], None], rules: IdentityRules
) -> APIRouter:
    """The routes. `wake` is told which output partitions got new rows."""
    router = APIRouter(prefix="/v1/profiles")

    @router.put("/{profile_id}/preferences")
    async def put_preferences(profile_id: Id, wanted: Preferences, actor: Actor = ADMIN) -> dict[str, Any]:
        """Replace them: `{channels, topics, monthly_maximum}`, each of which may be left out."""
        document = wanted.model_dump(exclude_none=True)
        root = await finish(set_preferences(pool, profile_id, document, partitions, rules, actor=actor))
        if root is None:
            raise unknown()
        wake(range(partitions))
        return {"id": root, "preferences": document}

    return router
