"""The codes of voucher pools as operators see them: uploaded, counted, listed."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.instant import Millis
from services.messenger.store import Pool

MAX_CODES = 1_000_000
_CODE = re.compile(r"[A-Za-z0-9_-]{3,64}")
_BATCH = 5_000
_PROBLEMS = 20


@dataclass(slots=True)
class Uploaded:
    """`added` codes; `known` were there before or stood twice; `problems`: (line, what is wrong), the first
    ones."""

    added: int = 0
    known: int = 0
    invalid: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)


class VoucherCodes:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def upload(self, pool_id: str, lines: AsyncIterator[str], now: Millis) -> Uploaded:
        """One code a line, the first field of a line of CSV; a header `code` is passed over. Safe to repeat."""
        done = Uploaded()
        batch: list[str] = []
        number = 0
        async for line in lines:
            number += 1
            code = line.split(",", 1)[0].strip().strip('"')
            if not code or (number == 1 and code.lower() == "code"):
                continue
            if not _CODE.fullmatch(code):
                done.invalid += 1
                if len(done.problems) < _PROBLEMS:
                    said = "is no code: 3 to 64 of A-Z, a-z, 0-9, _ and -"
                    done.problems.append({"line": number, "reason": said})
                continue
            batch.append(code)
            if len(batch) == _BATCH:
                await self._store(pool_id, batch, done, now)
                batch = []
        await self._store(pool_id, batch, done, now)
        return done

    async def _store(self, pool_id: str, codes: Sequence[str], done: Uploaded, now: Millis) -> None:
        if codes:
            added = len(await self._pool.fetch(_ADD, pool_id, list(codes), now))
            done.added += added
            done.known += len(codes) - added

    async def counts(self, pool_id: str, now: Millis) -> dict[str, int]:
        """free, assigned (and neither redeemed nor expired), redeemed, expired."""
        row = await self._pool.fetchrow(_COUNT, pool_id, now)
        return dict(row) if row is not None else {}

    async def page(
        self, pool_id: str, status: str | None, after: int, limit: int, now: Millis
    ) -> list[dict[str, Any]]:
        """Codes in the order in which they came, with what became of them."""
        rows = await self._pool.fetch(_PAGE, pool_id, status, after, limit, now)
        return [dict(row) for row in rows]


_ADD = """
    INSERT INTO voucher_code (pool_id, code, created_at)
    SELECT DISTINCT ON (upper(code)) $1, code, $3::bigint FROM unnest($2::text[]) AS new (code)
    ON CONFLICT DO NOTHING RETURNING id
"""
_STATUS = """CASE WHEN redeemed_at IS NOT NULL THEN 'redeemed' WHEN assigned_at IS NULL THEN 'free'
    WHEN expires_at < {now} THEN 'expired' ELSE 'assigned' END"""
_COUNT = f"""
    SELECT count(*) FILTER (WHERE s = 'free') AS free, count(*) FILTER (WHERE s = 'assigned') AS assigned,
        count(*) FILTER (WHERE s = 'redeemed') AS redeemed, count(*) FILTER (WHERE s = 'expired') AS expired
    FROM (SELECT {_STATUS.format(now="$2")} AS s FROM voucher_code WHERE pool_id = $1) AS all_of_it
"""  # noqa: S608
_PAGE = f"""
    SELECT * FROM (
        SELECT id, code, {_STATUS.format(now="$5")} AS status, profile_id, campaign_id, entry_id, assigned_at,
        expires_at,
            redeemed_at, redeemed, order_id
        FROM voucher_code WHERE pool_id = $1 AND id > $3) AS codes
    WHERE $2::text IS NULL OR status = $2 ORDER BY id LIMIT $4
"""  # noqa: S608
