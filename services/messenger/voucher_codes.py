"""The codes of voucher pools as operators see them: uploaded, counted, listed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.instant import Millis
from services.messenger.store import Pool
from services.messenger.voucher_file import BadLine, code_of

STATUSES = ("free", "assigned", "redeemed", "expired")
_BATCH = 5_000
_PROBLEMS = 20


@dataclass(slots=True)
class Uploaded:
    """`added` codes; `known` were there before or stood twice; `problems`: {line, reason} of the first `invalid`
    ones."""

    added: int = 0
    known: int = 0
    invalid: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def note(self, line: int, reason: str) -> None:
        self.invalid += 1
        if len(self.problems) < _PROBLEMS:
            self.problems.append({"line": line, "reason": reason})


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
            try:
                code = code_of(number, line)
            except BadLine as error:
                done.note(number, str(error))
                continue
            if code is not None:
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

    async def counts(self, pool_ids: Sequence[str], now: Millis) -> dict[str, dict[str, int]]:
        """By pool: free, assigned (and neither redeemed nor expired), redeemed, expired."""
        rows = await self._pool.fetch(_COUNT, list(pool_ids), now)
        found = {row["pool_id"]: {status: row[status] for status in STATUSES} for row in rows}
        return {pool_id: found.get(pool_id, dict.fromkeys(STATUSES, 0)) for pool_id in pool_ids}

    async def redefined(self, pool_id: str) -> None:
        """The pool may make another number of codes now: they are counted anew."""
        await self._pool.execute("UPDATE voucher_pool SET made = NULL WHERE pool_id = $1", pool_id)

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
    SELECT pool_id, {", ".join(f"count(*) FILTER (WHERE s = '{status}') AS {status}" for status in STATUSES)}
    FROM (SELECT pool_id, {_STATUS.format(now="$2")} AS s FROM voucher_code
        WHERE pool_id = ANY($1::text[])) AS codes
    GROUP BY pool_id
"""  # noqa: S608
_PAGE = f"""
    SELECT * FROM (
        SELECT id, code, {_STATUS.format(now="$5")} AS status, profile_id, campaign_id, entry_id, assigned_at,
            expires_at, redeemed_at, redeemed, order_id
        FROM voucher_code WHERE pool_id = $1 AND id > $3) AS codes
    WHERE $2::text IS NULL OR status = $2 ORDER BY id LIMIT $4
"""  # noqa: S608
