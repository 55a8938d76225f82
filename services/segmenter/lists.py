"""Static lists: who is on one is a tag of the profile service's (`list:` and the list's id), changed in chunks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.ids import content_id
from headrace.contracts.segment_conditions import LIST_TAG
from services.segmenter.list_members import Person, plain

CHUNK = 1_000
LOOKUPS_AT_ONCE = 8

Wanted = tuple[Person, bool]
"""Who, and whether to be on the list."""


class _Applied(msgspec.Struct):
    applied: int
    unchanged: int
    unknown: list[str]


@dataclass(slots=True)
class Outcome:
    """`unknown`: who was not found, as they were sent."""

    applied: int = 0
    unchanged: int = 0
    unknown: list[Any] = field(default_factory=list)


class Lists:
    """`profiles` is the profile service."""

    def __init__(self, profiles: httpx.AsyncClient) -> None:
        self._profiles = profiles

    async def change(self, list_id: str, wanted: AsyncIterator[Wanted], key: str) -> Outcome:
        """Put on the list and take off it, a chunk at a time, in order. A chunk that was applied under the same
        `key` is not applied again. Raises ApiError; the chunks before are applied then."""
        outcome, chunk, number = Outcome(), list[Wanted](), 0
        async for one in wanted:
            chunk.append(one)
            if len(chunk) == CHUNK:
                await self._apply(list_id, chunk, f"{key}/{number}", outcome)
                chunk, number = [], number + 1
        if chunk:
            await self._apply(list_id, chunk, f"{key}/{number}", outcome)
        return outcome

    async def _apply(self, list_id: str, chunk: Sequence[Wanted], key: str, outcome: Outcome) -> None:
        found = await self._found([person for person, _ in chunk])
        changes: list[dict[str, Any]] = []
        origin: dict[str, Person] = {}
        for (person, on), profile_id in zip(chunk, found, strict=True):
            if profile_id is None:
                outcome.unknown.append(plain(person))
                continue
            origin.setdefault(profile_id, person)
            changes.append({"profile_id": profile_id, "tag": f"{LIST_TAG}{list_id}", "on": on})
        if not changes:
            return
        # with what identifiers stand for now: a repetition to whom more are known by then is another request
        digest = content_id("", *(f"{one['profile_id']} {one['on']}" for one in changes))
        body = {"id": content_id("l", list_id, key, digest), "changes": changes}
        answered = await self._post("/v1/tags", body)
        applied = msgspec.json.decode(answered.content, type=_Applied)
        outcome.applied += applied.applied
        outcome.unchanged += applied.unchanged
        outcome.unknown += [plain(origin[profile_id]) for profile_id in applied.unknown]

    async def _found(self, people: Sequence[Person]) -> list[str | None]:
        """Their profile ids, in order; None for an identifier of nobody."""
        gate = asyncio.Semaphore(LOOKUPS_AT_ONCE)

        async def find(person: Person) -> str | None:
            if isinstance(person, str):
                return person
            async with gate:
                return await self._lookup(person.type, person.value)

        return list(await asyncio.gather(*map(find, people)))

    async def _lookup(self, type: str, value: str) -> str | None:
        try:
            found = await self._profiles.get("/v1/profiles/lookup", params={"type": type, "value": value})
        except httpx.HTTPError as error:
            raise _unavailable() from error
        if found.status_code == httpx.codes.NOT_FOUND:
            return None
        if found.status_code != httpx.codes.OK:
            raise _unavailable()
        return str(found.json()["id"])

    async def _post(self, path: str, body: object) -> httpx.Response:
        content = msgspec.json.encode(body)
        try:
            answered = await self._profiles.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise _unavailable() from error
        if answered.status_code != httpx.codes.OK:
            raise _unavailable()
        return answered


def _unavailable() -> ApiError:
    message = "The profile service did not take all; send it again with the same Idempotency-Key."
    return ApiError(503, "unavailable", message, retry_after=1)
