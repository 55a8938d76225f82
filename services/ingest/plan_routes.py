"""HTTP of the plans, for operators: what sources may send, and what they send instead."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from headrace.contracts.instant import format_instant
from headrace.runtime.access.guard import GUARD
from services.ingest.plan import Plans
from services.ingest.violations import Seen, Violations

Limit = Annotated[int, Query(ge=1, le=1_000)]


def plan_router(plans: Plans, violations: Violations) -> APIRouter:
    router = APIRouter(prefix="/v1/plans", tags=["plans"], dependencies=[GUARD])

    @router.get("")
    async def all_plans() -> dict[str, Any]:
        """The plans that are in force."""
        items = [plan.definition.model_dump(exclude_none=True) for plan in plans.values()]
        return {"items": items, "next": None}

    @router.get("/violations")
    async def newest(source: str | None = None, event: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """What was seen last comes first; of this process since its start, without values."""
        found = violations.newest(source, event)
        return {"items": [_shown(seen) for seen, _ in zip(found, range(limit), strict=False)], "next": None}

    return router


def _shown(seen: Seen) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(seen)
    return {**shown, "first_at": format_instant(seen.first_at), "last_at": format_instant(seen.last_at)}
