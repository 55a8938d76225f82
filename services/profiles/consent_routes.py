"""HTTP of consent: what a customer agreed to, with its proof; declaring it; who asked for what."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal
from uuid import uuid4

import asyncpg
import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, StringConstraints

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis, parse_instant
from headrace.runtime.tasks import finish
from services.profiles.audit import audited
from services.profiles.consent import MARKETING, MAX_PROOF_BYTES, MAX_WORDING, Proof, slug
from services.profiles.consent_records import Place, consent_history, current_consents
from services.profiles.consenting import Declaration, RequestReused, UnknownProfile, declare
from services.profiles.history_sql import family
from services.profiles.reads import Profiles
from services.profiles.tag_routes import Id

MAX_PAGE = 200
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
ADMIN = "admin"
Actor = Annotated[str, Header(alias="X-Actor", min_length=1, max_length=100, pattern=r"^[a-zA-Z0-9 ._:-]+$")]
"""Who asks, as whoever holds the admin token says (a console's user)."""


def _slug(value: str) -> str:
    name = slug(value)
    if name is None:
        raise ValueError("write it as 1 to 32 of a-z, 0-9, _ and -")
    return name


Slug = Annotated[str, AfterValidator(_slug)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORDING, pattern=r"^[^\x00]+$")]


class ConsentRequest(BaseModel, extra="forbid"):
    """`wording`: version of the text that was agreed to. `proof`: any JSON. `at`: when the customer said so (now).
    `id` (or the header `Idempotency-Key`) makes a repeat change nothing."""

    channel: Slug
    status: Literal["granted", "withdrawn"]
    purpose: Slug = MARKETING
    source: Text = "api"
    wording: Text | None = None
    proof: Any = None
    at: str | None = None
    id: Id | None = None


def consent_routes(
    pool: asyncpg.Pool, profiles: Profiles, partitions: int, wake: Callable[[Iterable[int]], None]
) -> APIRouter:
    """The routes. `wake` is told which output partitions got new rows."""
    router = APIRouter(prefix="/v1")

    async def consents(profile_id: str, before: Place | None, limit: int) -> Response:
        found = await profiles.get(profile_id)
        if found is None:
            raise unknown()
        async with pool.acquire() as connection:
            ids = await family(connection, found["id"])
            current = await current_consents(connection, ids)
            history = await consent_history(connection, ids, before, limit)
        document = {
            "id": found["id"],
            "current": current,
            "items": [record for _, record in history],
            "next": _cursor(history[-1][0]) if len(history) == limit else None,
        }
        return Response(msgspec.json.encode(document), media_type="application/json")

    @router.get("/profiles/{profile_id}/consents")
    async def get_consents(profile_id: Id, cursor: str | None = None, limit: Limit = 50) -> Response:
        """What holds now, per purpose and channel, and every declaration, newest first."""
        return await consents(profile_id, _place(cursor), limit)

    @router.post("/profiles/{profile_id}/consents")
    async def declare_consent(
        profile_id: Id,
        wanted: ConsentRequest,
        idempotency_key: Annotated[Id | None, Header()] = None,
        actor: Actor = ADMIN,
    ) -> Response:
        """Declare consent, or its withdrawal, for a customer."""
        declaration = _declaration(wanted, idempotency_key or wanted.id or uuid4().hex)
        try:
            root = await finish(declare(pool, profile_id, declaration, partitions, actor=actor))
        except UnknownProfile as error:
            raise unknown() from error
        except RequestReused as error:
            raise ApiError(409, "id_reused", "This id was sent with another consent: send a new one.") from error
        wake(range(partitions))
        return await consents(root, None, 50)

    @router.get("/audit")
    async def audit(profile_id: str | None = None, cursor: int | None = None, limit: Limit = 50) -> Response:
        """Erasures, exports, changes of consent and suppressions, newest first."""
        async with pool.acquire() as connection:
            items = await audited(connection, profile_id, cursor, limit)
        following = str(items[-1]["n"]) if len(items) == limit else None
        return Response(msgspec.json.encode({"items": items, "next": following}), media_type="application/json")

    return router


def unknown() -> ApiError:
    return ApiError(404, "unknown_profile", "There is no such profile; look it up by an identifier.")


def _declaration(wanted: ConsentRequest, key: str) -> Declaration:
    proof = None if wanted.proof is None else msgspec.json.encode(wanted.proof)
    if proof is not None and len(proof) > MAX_PROOF_BYTES:
        raise ApiError(413, "too_large", f"A proof has at most {MAX_PROOF_BYTES} bytes: send where it is kept.")
    return Declaration(
        key,
        wanted.channel,
        wanted.purpose,
        wanted.status,
        Proof(wanted.wording, None if proof is None else proof.decode(), wanted.source),
        _instant(wanted.at),
    )


def _instant(text: str | None) -> Millis | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise ApiError(400, "invalid_instant", "Write `at` as 2026-01-31T12:00:00Z.") from error


def _cursor(place: Place) -> str:
    return ".".join(map(str, place))


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        recorded_at, q, seq, channel, purpose = cursor.split(".")
        return int(recorded_at), int(q), int(seq), channel, purpose
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.") from error
