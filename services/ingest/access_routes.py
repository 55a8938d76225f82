"""HTTP of sources, write keys, admin tokens and the audit log. Secrets are shown once, when they are made."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import structlog
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import format_instant, parse_instant
from headrace.contracts.segment_values import duration_ms
from headrace.runtime.access.following import FAILURES
from headrace.runtime.access.guard import GUARD
from services.ingest.admin_tokens import AdminTokens
from services.ingest.audit_log import AuditLog
from services.ingest.sources import Sources, Wanted

log = structlog.get_logger()

SourceName = Annotated[str, PathParameter(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Id = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$")]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
ScopeName = Literal["read", "segments", "segments:read", "campaigns", "privacy", "admin"]
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_CURSOR = re.compile(r"[1-9][0-9]{0,17}")
Store = TypeVar("Store")
LEAST_RATE = 0.001
TOKEN_DAYS = "90d"  # noqa: S105 (a duration)


class _Expiring(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("expires_in", check_fields=False)
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None and value != "never":
            duration_ms(value)
        return value


class SourceRequest(BaseModel):
    """`origins`: the pages that may use a public key, as `https://shop.example.com`; all when empty.
    `origins_required`: requests must name their page. `rate`: events per second."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["public", "server"]
    origins: list[str] = Field(default=[], max_length=100)
    origins_required: bool = False
    rate: float | None = Field(default=None, gt=0, le=1_000_000, allow_inf_nan=False)

    @field_validator("rate")
    @classmethod
    def _is_counted_in_time(cls, value: float | None) -> float | None:
        if value is not None and value < LEAST_RATE:
            raise ValueError(f"is too low to count by: send at least {LEAST_RATE}, or delete the keys")
        return value

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, values: list[str]) -> list[str]:
        found = [value.lower() for value in values]
        if wrong := [value for value in found if not _ORIGIN.fullmatch(value)]:
            raise ValueError(f"{wrong[0]!r} is no origin: write scheme and host, as https://shop.example.com")
        return found


class KeyRequest(_Expiring):
    """`expires_in`: as `365d`; `never` is the default."""

    expires_in: str = "never"


class TokenRequest(_Expiring):
    """`expires_in`: as `90d`, the default, or `never`."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
    scopes: list[ScopeName] = Field(min_length=1, max_length=10)
    expires_in: str = TOKEN_DAYS


def access_routes(
    sources: Sources | None, tokens: AdminTokens | None, audit: AuditLog | None, *, static: frozenset[str]
) -> APIRouter:
    """None: there is no database, and the routes say so. `static`: sources that the settings name."""
    router = APIRouter(prefix="/v1", tags=["access"], dependencies=[GUARD])
    _add_sources(router, sources, static)
    _add_keys(router, sources)
    _add_tokens(router, tokens)
    _add_audit(router, audit)
    return router


def _add_sources(router: APIRouter, sources: Sources | None, static: frozenset[str]) -> None:
    @router.get("/sources")
    async def all_sources() -> dict[str, Any]:
        """Those that are managed here; what the settings name is not listed."""
        async with _stored(sources) as known:
            return {"items": [_shown(source) for source in await known.all()], "next": None}

    @router.get("/sources/{source_name}")
    async def one_source(source_name: SourceName) -> Any:
        async with _stored(sources) as known:
            return await _found(known, source_name)

    @router.put("/sources/{source_name}")
    async def put_source(source_name: SourceName, wanted: SourceRequest) -> Any:
        """Make a source or change it. It has no key yet."""
        if source_name in static:
            raise ApiError(409, "static_source", "The settings name this source; change it there.")
        async with _stored(sources) as known:
            await known.put(source_name, Wanted(**wanted.model_dump()))
            return await _found(known, source_name)

    @router.delete("/sources/{source_name}")
    async def delete_source(source_name: SourceName) -> dict[str, bool]:
        """Its keys are revoked. What it has sent stays."""
        async with _stored(sources) as known:
            if not await known.delete(source_name):
                raise _unknown("source")
        return {"success": True}


def _add_keys(router: APIRouter, sources: Sources | None) -> None:
    @router.post("/sources/{source_name}/keys")
    async def add_key(source_name: SourceName, wanted: KeyRequest) -> Any:
        """One more write key; the others go on. This answer alone has the key."""
        async with _stored(sources) as known:
            made = await known.add_key(source_name, _milliseconds(wanted.expires_in))
        if made is None:
            raise _unknown("source")
        return _shown(made)

    @router.delete("/sources/{source_name}/keys/{key_id}")
    async def revoke_key(source_name: SourceName, key_id: Id) -> dict[str, bool]:
        """Within a second nothing is taken by it any more."""
        async with _stored(sources) as known:
            if not await known.revoke_key(source_name, key_id):
                raise _unknown("key")
        return {"success": True}


def _add_tokens(router: APIRouter, tokens: AdminTokens | None) -> None:
    @router.get("/tokens")
    async def all_tokens() -> dict[str, Any]:
        async with _stored(tokens) as known:
            return {"items": [_shown(token) for token in await known.all()], "next": None}

    @router.post("/tokens")
    async def add_token(wanted: TokenRequest) -> Any:
        """This answer alone has the token."""
        async with _stored(tokens) as known:
            made = await known.add(wanted.name, sorted(set(wanted.scopes)), _milliseconds(wanted.expires_in))
        return _shown(made)

    @router.delete("/tokens/{token_id}")
    async def revoke_token(token_id: Id) -> dict[str, bool]:
        """Within a second no service lets it in any more."""
        async with _stored(tokens) as known:
            if not await known.revoke(token_id):
                raise _unknown("token")
        return {"success": True}


def _add_audit(router: APIRouter, audit: AuditLog | None) -> None:
    @router.get("/audit")
    async def newest(
        actor: Text = None,
        route: Text = None,
        since: Text = None,
        cursor: Text = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Two rows for each act, the newest first: one from before it, without `status`, and one from its end.
        `actor`: a token's id or name; `since`: as 2026-01-31T12:00:00Z."""
        before = _number(cursor)
        after = None if since is None else _instant(since)
        async with _stored(audit) as known:
            rows = await known.newest(before, limit, actor=actor, route=route, since=after)
        following = str(rows[-1]["seq"]) if len(rows) == limit else None
        return {"items": [_shown(row) for row in rows], "next": following}


@asynccontextmanager
async def _stored(store: Store | None) -> AsyncIterator[Store]:
    """The store. Raises ApiError 501 without a database and 503 when it does not answer."""
    if store is None:
        raise ApiError(
            501, "no_database", "Set HEADRACE_DATABASE_URL for this service and run `headrace migrate`."
        )
    try:
        yield store
    except FAILURES as error:
        log.warning("access_store_failed", exc_info=error)
        raise ApiError(503, "unavailable", "Postgres does not answer; try again.", retry_after=1) from error


async def _found(sources: Sources, name: str) -> dict[str, Any]:
    found = await sources.all(name)
    if not found:
        raise _unknown("source")
    return _shown(found[0])


def _unknown(what: str) -> ApiError:
    return ApiError(404, f"unknown_{what}", f"There is no such {what}; the list has all.")


def _milliseconds(duration: str) -> int | None:
    return None if duration == "never" else duration_ms(duration)


def _instant(text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ApiError(400, "invalid_request", "Write `since` as 2026-01-31T12:00:00Z.") from error


def _number(cursor: str | None) -> int | None:
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise ApiError(400, "invalid_cursor", "Send `cursor` as `next` of the page before.")
    return None if cursor is None else int(cursor)


def _shown(row: Any) -> dict[str, Any]:
    """As JSON has it: instants as texts."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(int(value.timestamp() * 1000))
    if isinstance(value, list):
        return [_shown(item) if isinstance(item, dict) else item for item in value]
    return value
