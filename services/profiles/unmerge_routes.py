"""HTTP of taking apart and of why profiles are one: `unmerge` and `merges`."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import msgspec
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field, StrictInt, StrictStr, model_validator

from headrace.contracts.errors import ApiError
from headrace.runtime.tasks import finish
from services.profiles.identity_rules import IdentityRules
from services.profiles.normalise import identifier
from services.profiles.reads import Profiles
from services.profiles.suppression import Suppressor
from services.profiles.tag_routes import Id
from services.profiles.unmerging import (
    NothingLeft,
    NotTheirs,
    RequestReused,
    UnknownProfile,
    Unmerged,
    take_out,
    undo,
)

MAX_PAGE = 200
# An array, since the planner reads whole tables for `profile_id = $1 OR other_id = $1`.
_DECISIONS = """
    SELECT n AS id, at, kind, profile_id, other_id, reason, source, message_id, evidence FROM decision
    WHERE n IN (
        SELECT n FROM decision WHERE profile_id = ANY($1::text[])
        UNION SELECT n FROM decision WHERE other_id = ANY($1::text[])
    ) AND n < $2 ORDER BY n DESC LIMIT $3
"""


class OwnIdentifier(BaseModel):
    type: StrictStr
    value: StrictStr


class UnmergeRequest(BaseModel, extra="forbid"):
    """Either an identifier to take out, or the id of a merge (as `merges` lists it). `id` (or the header
    `Idempotency-Key`) makes a repeat change nothing."""

    identifier: OwnIdentifier | None = None
    merge: Annotated[StrictInt, Field(ge=1, le=2**62)] | None = None
    id: Id | None = None

    @model_validator(mode="after")
    def _one(self) -> "UnmergeRequest":
        if (self.identifier is None) == (self.merge is None):
            raise ValueError("send either `identifier` or `merge`")
        return self


def unmerge_routes(
    pool: asyncpg.Pool,
    profiles: Profiles,
    partitions: int,
    wake: Callable[[Iterable[int]], None],
    region: str | None,
    rules: IdentityRules,
    suppressor: Suppressor,
) -> APIRouter:
    """The routes. `wake` is told which output partitions got new rows."""
    router = APIRouter(prefix="/v1/profiles")

    async def unmerge(profile_id: str, wanted: UnmergeRequest, request: str) -> Unmerged:
        if wanted.identifier is None:
            assert wanted.merge is not None, "one of the two"
            return await undo(pool, profile_id, wanted.merge, request, partitions, suppressor)
        kind = wanted.identifier.type
        value = identifier(kind, wanted.identifier.value, region)
        if value is None:
            raise NotTheirs("no identifier")
        return await take_out(pool, profile_id, (kind, value), request, partitions, rules, suppressor)

    @router.post("/{profile_id}/unmerge")
    async def take_apart(
        profile_id: Id, wanted: UnmergeRequest, idempotency_key: Annotated[Id | None, Header()] = None
    ) -> dict[str, Any]:
        """Take an identifier, or an earlier merge, out of a customer: two customers, each with what is its own."""
        request = f"{profile_id}/{idempotency_key or wanted.id or uuid4()}"
        try:
            done = await finish(unmerge(profile_id, wanted, request))
        except UnknownProfile as error:
            raise _unknown() from error
        except NotTheirs as error:
            message = "This customer has no such identifier or merge: GET the profile, or its merges."
            raise ApiError(404, "not_theirs", message) from error
        except RequestReused as error:
            message = "This id was sent for something else to be taken out: send a new one."
            raise ApiError(409, "id_reused", message) from error
        except NothingLeft as error:
            message = "One of the two would have no identifier: there is nothing to take apart."
            raise ApiError(409, "nothing_left", message) from error
        wake(range(partitions))
        return {"id": done.profile_id, "into": done.into, "moved": done.moved}

    @router.get("/{profile_id}/merges")
    async def merges(
        profile_id: str,
        cursor: Annotated[int, Query(ge=1)] = 2**62,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> dict[str, Any]:
        """Why the customer is one, and why others are not part of it: each decision with the event that led to
        it, the latest first."""
        found = await profiles.get(profile_id)
        if found is None:
            raise _unknown()
        rows = await pool.fetch(_DECISIONS, [found["id"], *found["merged_from"]], cursor, limit)
        items = [_decision(row) for row in rows]
        return {"items": items, "next": str(items[-1]["id"]) if len(items) == limit else None}

    return router


def _decision(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "evidence": msgspec.json.decode(row["evidence"])}


def _unknown() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")
