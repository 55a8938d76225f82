"""Watches how many codes voucher pools have left: a figure for each, and a line in the log when it is low."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from headrace.contracts.instant import Millis
from headrace.contracts.voucher import VoucherPool, parse_voucher_pool
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import look_again
from services.messenger.store import Pool

log = structlog.get_logger()

_LOOK_SECONDS = 60.0
_FEW = 100
_FEW_OF = 20
"""Under a twentieth of all."""


@dataclass(frozen=True, slots=True)
class Left:
    """How many codes of a pool can still be given, `of` how many there are, or may be made, in all."""

    left: int
    of: int

    @property
    def low(self) -> bool:
        """Under 5 %, or under 100."""
        return self.left < _FEW or self.left * _FEW_OF < self.of


def left_of(pool: VoucherPool, free: int, codes: int) -> Left | None:
    """Of a pool with so many codes, of them so many free. None when it never runs out."""
    if pool.code is not None or (pool.generate is not None and pool.generate.at_most is None):
        return None
    if pool.generate is None or pool.generate.at_most is None:
        return Left(free, codes)
    return Left(free + max(0, pool.generate.at_most - codes), max(codes, pool.generate.at_most))


class PoolWatch:
    """One per process; of several one writes the line."""

    def __init__(self, pool: Pool, metrics: Metrics, *, clock: Callable[[], Millis]) -> None:
        self._pool = pool
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Look every minute until cancelled."""
        await look_again(self.look, _LOOK_SECONDS, "pools_not_looked_at")

    async def look(self) -> None:
        found = await self._left()
        self._metrics.vouchers_left.clear()
        for pool_id, left in found.items():
            self._metrics.vouchers_left.labels(pool_id).set(left.left)
        enough = [pool_id for pool_id, left in found.items() if not left.low]
        await self._pool.execute(_ENOUGH, enough)
        for pool_id in found.keys() - set(enough):
            if await self._pool.fetchval(_LOW, pool_id, self._clock()):
                left = found[pool_id]
                log.warning("voucher_pool_low", pool=pool_id, left=left.left, of=left.of)

    async def _left(self) -> Mapping[str, Left]:
        """Of the pools that may run out."""
        rows = await self._pool.fetch(_POOLS)
        pools = [parse_voucher_pool(msgspec.json.decode(row["body"])) for row in rows]
        ending = [pool for pool in pools if left_of(pool, 0, 0) is not None]
        counted = await self._pool.fetch(_COUNT, [pool.id for pool in ending]) if ending else []
        codes = {row["pool_id"]: (row["free"], row["codes"]) for row in counted}
        each = ((pool.id, left_of(pool, *codes.get(pool.id, (0, 0)))) for pool in ending)
        return {pool_id: left for pool_id, left in each if left is not None}


_POOLS = """
    SELECT v.body::text AS body FROM definition d JOIN definition_version v USING (kind, id, version)
    WHERE d.kind = 'vouchers' AND d.state <> 'deleted'
"""
_COUNT = """
    SELECT pool_id, count(*) FILTER (WHERE assigned_at IS NULL) AS free, count(*) AS codes
    FROM voucher_code WHERE NOT shared AND pool_id = ANY($1::text[]) GROUP BY pool_id
"""
_LOW = """
    INSERT INTO voucher_pool AS p (pool_id, low_at) VALUES ($1, $2)
    ON CONFLICT (pool_id) DO UPDATE SET low_at = excluded.low_at WHERE p.low_at IS NULL
    RETURNING true
"""
_ENOUGH = "UPDATE voucher_pool SET low_at = NULL WHERE low_at IS NOT NULL AND pool_id = ANY($1::text[])"
