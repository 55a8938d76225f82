"""HTTP of voucher pools and their codes."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis
from headrace.contracts.voucher import parse_voucher_pool
from services.messenger import voucher_file
from services.messenger.bodies import definition_document
from services.messenger.definitions import Definitions, Stored
from services.messenger.voucher_codes import VoucherCodes

Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[int, Query(ge=0, le=2**63 - 1)]
Status = Literal["free", "assigned", "redeemed", "expired"]
_FILE_PAGE = 1_000


def voucher_routes(definitions: Definitions, codes: VoucherCodes, *, clock: Callable[[], Millis]) -> APIRouter:
    router = APIRouter()

    async def found(pool_id: str) -> Stored:
        stored = await definitions.get("vouchers", pool_id)
        if stored is None:
            raise ApiError(404, "not_found", f"There is no voucher pool {pool_id!r}; see /v1/vouchers.")
        return stored

    async def shown(pools: Sequence[Stored]) -> list[dict[str, Any]]:
        counts = await codes.counts([pool.id for pool in pools], clock())
        return [
            {**pool.body, "version": pool.version, "counts": counts[pool.id], "updated_at": pool.updated_at}
            for pool in pools
        ]

    @router.put("/vouchers/{pool_id}")
    async def put(pool_id: str, request: Request) -> dict[str, Any]:
        stored = await definitions.put(
            "vouchers", parse_voucher_pool(await definition_document(request, pool_id)), clock()
        )
        await codes.redefined(pool_id)
        return {"id": stored.id, "version": stored.version, "status": stored.state}

    @router.get("/vouchers")
    async def page(cursor: str = "", limit: Limit = 100) -> dict[str, Any]:
        pools = await definitions.page("vouchers", cursor, limit)
        return {"items": await shown(pools), "next": pools[-1].id if len(pools) == limit else None}

    @router.get("/vouchers/{pool_id}")
    async def get(pool_id: str) -> dict[str, Any]:
        [pool] = await shown([await found(pool_id)])
        return pool

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
        pool = parse_voucher_pool(dict((await found(pool_id)).body))
        if pool.code is not None or pool.generate is not None:
            said = "This pool has codes of its own; leave out `code` and `generate` to upload some."
            raise ApiError(409, "codes_of_its_own", said)
        done = await codes.upload(pool_id, voucher_file.lines(request.stream()), clock())
        return {"added": done.added, "known": done.known, "invalid": done.invalid, "problems": done.problems}

    @router.get("/vouchers/{pool_id}/codes")
    async def list_codes(
        pool_id: str,
        status: Status | None = None,
        cursor: Cursor = 0,
        limit: Limit = 100,
        format: Literal["json", "csv"] = "json",
    ) -> Any:
        """A page of codes; with `format=csv` all of them as a file."""
        await found(pool_id)
        if format == "csv":
            headers = {
                "Content-Disposition": f'attachment; filename="{pool_id}.csv"',
                "X-Content-Type-Options": "nosniff",
            }
            file = _csv(codes, pool_id, status, clock())
            return StreamingResponse(file, media_type=voucher_file.MEDIA_TYPE, headers=headers)
        items = await codes.page(pool_id, status, cursor, limit, clock())
        return {"items": items, "next": str(items[-1]["id"]) if len(items) == limit else None}

    return router


async def _csv(codes: VoucherCodes, pool_id: str, status: str | None, now: Millis) -> AsyncIterator[str]:
    yield voucher_file.head()
    after = 0
    while page := await codes.page(pool_id, status, after, _FILE_PAGE, now):
        yield voucher_file.rows(page)
        after = page[-1]["id"]
