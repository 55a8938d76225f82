"""HTTP of tags: of one customer, and many at once (static lists, imports)."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
from fastapi import APIRouter, Header
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StringConstraints

from headrace.contracts.errors import ApiError
from headrace.runtime.tasks import finish
from services.profiles.reads import Profiles
from services.profiles.tagging import (
    RequestReused,
    TagAnswer,
    TagChange,
    TagRequest,
    TooManyTags,
    UnknownProfile,
    change_tags,
)
from services.profiles.tags import LIST_PREFIX, MAX_TAGS, tag_name

MAX_CHANGES = 1_000
_VISIBLE = r"^[^\x00-\x1f\x7f]+$"


def _tag(value: str) -> str:
    name = tag_name(value)
    if name is None:
        raise ValueError("a tag has 1 to 100 characters, none of them a control character")
    return name


def _own_tag(value: str) -> str:
    name = _tag(value)
    if name.startswith(LIST_PREFIX):
        raise ValueError(f"names that begin with {LIST_PREFIX} are static lists': change the list instead")
    return name


Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_VISIBLE)]
Tag = Annotated[str, AfterValidator(_tag)]
OwnTags = Annotated[list[Annotated[str, AfterValidator(_own_tag)]], Field(max_length=MAX_CHANGES)]


class ProfileTags(BaseModel, extra="forbid"):
    """Tags to put on and to take off; `id` (or the header `Idempotency-Key`) makes a repeat change nothing."""

    add: OwnTags = []
    remove: OwnTags = []
    id: Id | None = None


class Change(BaseModel, extra="forbid"):
    profile_id: Id
    tag: Tag
    on: StrictBool


class Changes(BaseModel, extra="forbid"):
    """Applied in order, all or nothing, once per `id`."""

    id: Id
    changes: Annotated[list[Change], Field(max_length=MAX_CHANGES)]


def tag_routes(
    pool: asyncpg.Pool, profiles: Profiles, partitions: int, wake: Callable[[Iterable[int]], None]
) -> APIRouter:
    """The routes. `wake` is told which output partitions got new rows."""
    router = APIRouter(prefix="/v1")

    async def apply(request: TagRequest, *, whole: bool) -> TagAnswer:
        try:
            answer = await finish(change_tags(pool, request, partitions, whole=whole))
        except RequestReused as error:
            raise ApiError(409, "id_reused", "This id was sent with other changes: send a new one.") from error
        wake(range(partitions))
        return answer

    @router.post("/profiles/{profile_id}/tags")
    async def tag_profile(
        profile_id: Id,
        wanted: ProfileTags,
        idempotency_key: Annotated[Id | None, Header()] = None,
    ) -> dict[str, Any]:
        """Put tags on a customer and take others off: all of it, or nothing with an error."""
        request = _request(profile_id, wanted, idempotency_key or wanted.id)
        try:
            await apply(request, whole=True)
        except UnknownProfile as error:
            raise _unknown() from error
        except TooManyTags as error:
            message = f"A profile takes {MAX_TAGS} names of tags in its life: use one that it has had."
            raise ApiError(409, "too_many_tags", message) from error
        found = await profiles.get(profile_id)
        if found is None:
            raise _unknown()
        return {"id": found["id"], "tags": found["tags"]}

    @router.post("/tags")
    async def tag_many(wanted: Changes) -> dict[str, Any]:
        """Internal: change tags of many customers, static lists' included."""
        changes = [TagChange(one.profile_id, one.tag, one.on) for one in wanted.changes]
        answer = await apply(TagRequest(f"many/{wanted.id}", changes), whole=False)
        return {"applied": answer.applied, "unchanged": answer.unchanged, "unknown": answer.unknown}

    return router


def _request(profile_id: str, wanted: ProfileTags, key: str | None) -> TagRequest:
    if both := {*wanted.add} & {*wanted.remove}:
        raise ApiError(400, "invalid_request", f"Either add or remove: {', '.join(sorted(both))}.")
    changes = [TagChange(profile_id, tag, True) for tag in wanted.add]
    changes += [TagChange(profile_id, tag, False) for tag in wanted.remove]
    return TagRequest(f"one/{key}" if key is not None else f"new/{uuid4().hex}", changes)


def _unknown() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")
