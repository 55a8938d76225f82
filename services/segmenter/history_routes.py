"""HTTP of what was: sizes over time, a customer's past; and how far two segments overlap."""

from collections.abc import MutableMapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Query
from fastapi.routing import APIRoute
from starlette.routing import Match

from headrace.runtime.access.guard import GUARD
from services.segmenter.definitions import Definitions
from services.segmenter.inspection import Inspection
from services.segmenter.intervals import HOUR_MS
from services.segmenter.members import Members
from services.segmenter.membership_history import DAY_MS, MembershipHistory
from services.segmenter.overlap import overlap
from services.segmenter.redis_client import Client

Limit = Annotated[int, Query(ge=1, le=1000)]
STEPS = {"hour": HOUR_MS, "day": DAY_MS}


class _Comparison(APIRoute):
    """Matches only a request that names a segment to compare: `overlap` may be a segment's id as well."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        return super().matches(scope) if asked.keys() & {"a", "b"} else (Match.NONE, {})


def comparison_router(definitions: Definitions, redis: Client, *, partitions: int) -> APIRouter:
    """To be included before the routes of single segments."""
    router = APIRouter(prefix="/v1", dependencies=[GUARD], route_class=_Comparison)

    @router.get("/segments/overlap")
    async def compare(a: str, b: str) -> dict[str, Any]:
        """How many customers are in `a`, in `b`, in both, in one only; `jaccard` is both / any."""
        for segment_id in (a, b):
            await definitions.segment(segment_id)
        found = await overlap(redis, partitions, a, b)
        return {
            "a": found.a,
            "b": found.b,
            "both": found.both,
            "only_a": found.a - found.both,
            "only_b": found.b - found.both,
            "jaccard": found.jaccard,
        }

    return router


def history_router(
    definitions: Definitions,
    members: Members,
    inspection: Inspection,
    history: MembershipHistory,
) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[GUARD])

    @router.get("/segments/{segment_id}/history")
    async def sizes(
        segment_id: str,
        begin: Annotated[str | None, Query(alias="from")] = None,
        end: Annotated[str | None, Query(alias="to")] = None,
        step: Literal["hour", "day"] = "hour",
    ) -> dict[str, Any]:
        """Per hour or day (UTC), oldest first, by default the last 7 days: `at` is where the step begins, `size`
        how many members there were at its end, `entered` and `exited` how often that happened in between."""
        await definitions.segment(segment_id)
        items = await history.sizes(segment_id, begin=begin, end=end, step=STEPS[step])
        return {"items": items, "next": None}

    @router.get("/profiles/{profile_id}/segment-history")
    async def of_customer(profile_id: str, cursor: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """Every membership that the customer had or has, newest first; also those of profiles merged into it."""
        root = await inspection.root(profile_id)
        items: list[dict[str, Any]] = []
        following = None
        if "\0" not in root:  # Postgres has no such text
            items, following = await history.of_customer(root, cursor, limit)
        if not items and cursor is None:
            await members.customer(root)  # 404 for whom nobody knows
        return {"items": items, "next": following}

    return router
