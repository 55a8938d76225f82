"""HTTP of voucher pools and their codes."""

import csv
import io
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.voucher import parse_voucher_pool
from services.messenger.bodies import definition_document
from services.messenger.definitions import Definitions, Stored
from services.messenger.voucher_codes import MAX_CODES, VoucherCodes

_MAX_LINE = 1_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Limit = Annotated[int, Query(ge=1, le=1_000)]
Status = Literal["free", "assigned", "redeemed", "expired"]
_COLUMNS = (
    "code",
    "status",
    "profile_id",
    "campaign_id",
    "assigned_at",
    "expires_at",
    "redeemed_at",
    "redeemed",
    "order_id",
)


def voucher_routes(definitions: Definitions, codes: VoucherCodes, *, clock: Callable[[], Millis]) -> APIRouter:
    router = APIRouter()

    async def found(pool_id: str) -> Stored:
        stored = await definitions.get("vouchers", pool_id)
        if stored is None:
            raise ApiError(404, "not_found", f"There is no voucher pool {pool_id!r}; see /v1/vouchers.")
        return stored

    async def shown(stored: Stored) -> dict[str, Any]:
        counts = await codes.counts(stored.id, clock())
        return {**stored.body, "version": stored.version, "counts": counts, "updated_at": stored.updated_at}

    @router.put("/vouchers/{pool_id}")
    async def put(pool_id: str, request: Request) -> dict[str, Any]:
        stored = await definitions.put(
            "vouchers", parse_voucher_pool(await definition_document(request, pool_id)), clock()
        )
        return {"id": stored.id, "version": stored.version, "status": stored.state}

    @router.get("/vouchers")
    async def page(cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        pools = await definitions.page("vouchers", cursor, limit)
        items = [await shown(pool) for pool in pools]
        return {"items": items, "next": pools[-1].id if len(pools) == limit else None}

    @router.get("/vouchers/{pool_id}")
    async def get(pool_id: str) -> dict[str, Any]:
        return await shown(await found(pool_id))

    @router.delete("/vouchers/{pool_id}")
    async def delete(pool_id: str) -> dict[str, Any]:
        await found(pool_id)
        users = await definitions.campaigns_taking(pool_id)
        if users:
            raise ApiError(409, "in_use", f"Delete first what takes codes of this pool: {', '.join(users)}.")
        await definitions.delete("vouchers", pool_id, clock())
        return {"id": pool_id, "deleted": True}

    @router.post("/vouchers/{pool_id}/codes")
    async def upload(pool_id: str, request: Request) -> dict[str, Any]:
        """One code a line, text or CSV. What is there already is counted and stays; safe to repeat."""
        await found(pool_id)
        done = await codes.upload(pool_id, _lines(request), clock())
        return {"added": done.added, "known": done.known, "invalid": done.invalid, "problems": done.problems}

    @router.get("/vouchers/{pool_id}/codes")
    async def list_codes(
        pool_id: str, status: Status | None = None, cursor: int = 0, limit: Limit = 100, format: str = "json"
    ) -> Any:
        """A page of codes; with `format=csv` all of them as a file."""
        await found(pool_id)
        if format == "csv":
            headers = {
                "Content-Disposition": f'attachment; filename="{pool_id}.csv"',
                "X-Content-Type-Options": "nosniff",
            }
            return StreamingResponse(_csv(codes, pool_id, status, clock()), media_type="text/csv", headers=headers)
        items = await codes.page(pool_id, status, cursor, limit, clock())
        return {"items": items, "next": str(items[-1]["id"]) if len(items) == limit else None}

    return router


async def _lines(request: Request) -> AsyncIterator[str]:
    """The body's lines as they come. Raises ApiError for what is no UTF-8, or too much."""
    rest, count = b"", 0
    async for chunk in request.stream():
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise ApiError(400, "line_too_long", "Send one code a line.")
        for raw in whole:
            count += 1
            if count > MAX_CODES:
                said = f"Send at most {MAX_CODES} codes at a time; those before are stored."
                raise ApiError(413, "too_many", said)
            yield _text(raw)
    if rest:
        yield _text(rest)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiError(400, "not_utf8", "Send the codes as UTF-8.") from error


async def _csv(codes: VoucherCodes, pool_id: str, status: str | None, now: Millis) -> AsyncIterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    after = 0
    while page := await codes.page(pool_id, status, after, 1_000, now):
        text = io.StringIO()
        writer = csv.writer(text)
        for row in page:
            writer.writerow([_safe(row[name]) for name in _COLUMNS])
        yield text.getvalue()
        after = page[-1]["id"]


def _safe(value: object) -> object:
    """A spreadsheet takes text that begins so for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
