"""HTTP of who somebody is: search, look up, read."""

from fastapi import APIRouter
from fastapi.responses import Response

from headrace.contracts.errors import ApiError
from services.profiles.answers import Limit, answer, existing, page, unknown_profile
from services.profiles.found import Search
from services.profiles.last_known_sql import read_last_known
from services.profiles.normalise import identifier
from services.profiles.reads import Profiles, document
from services.profiles.search import MAX_QUERY
from services.profiles.spelling import Spelling


def profile_routes(profiles: Profiles, region: str | None) -> APIRouter:
    """The routes. `region` is where national phone numbers belong, if anywhere."""
    router = APIRouter(prefix="/v1/profiles")
    searched = Search(profiles, region)

    @router.get("")
    async def search(
        query: str | None = None,
        trait: str | None = None,
        value: str | None = None,
        cursor: str = "",
        limit: Limit = 50,
        spelling: Spelling = "both",
    ) -> Response:
        """Profiles by id; with `query`, those with an identifier or a name that begins with it; with `trait` and
        `value`, those whose trait equals the value."""
        _check(query, trait, value, cursor)
        if trait is not None and value is not None:
            found = await searched.with_trait(trait, value, cursor, limit, spelling)
            return page(found.items, found.following)
        if query:
            found = await searched.named(query, cursor, limit, spelling)
            return page(found.items, found.following)
        items = await profiles.page(cursor, limit, spelling)
        return page(items, items[-1]["id"] if len(items) == limit else None)

    @router.get("/count")
    async def count() -> dict[str, int]:
        return {"count": await profiles.count()}

    @router.get("/lookup")
    async def lookup(type: str, value: str, spelling: Spelling = "both") -> Response:
        """The profile that has this identifier, in any spelling of it."""
        canonical = identifier(type, value, region)
        owner = await profiles.owner(type, canonical) if canonical is not None else None
        if owner is None:
            raise unknown_profile()
        return await _shown(owner, spelling)

    @router.get("/{profile_id}")
    async def get(profile_id: str, spelling: Spelling = "both") -> Response:
        """Everything that is known now; a merged profile answers for what it became."""
        return await _shown(profile_id, spelling)

    async def _shown(profile_id: str, spelling: Spelling) -> Response:
        async with profiles.engine.connect() as connection:
            found = await existing(document(connection, profile_id, spelling))
            last = await read_last_known(connection, found["id"])
        return answer(found | {"last_known": last})

    return router


def _check(query: str | None, trait: str | None, value: str | None, cursor: str) -> None:
    if (trait is None) != (value is None) or (query and trait is not None):
        raise ApiError(400, "invalid_request", "Send either `query`, or `trait` together with `value`.")
    if len(query or "") > MAX_QUERY:
        raise ApiError(400, "invalid_request", f"Search by at most {MAX_QUERY} characters.")
    if "\0" in f"{query}{cursor}":
        raise ApiError(400, "invalid_request", "Nobody is known by a text with a NUL character.")
