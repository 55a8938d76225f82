"""Giving voucher codes: one to each wish, none twice, in the transaction that goes on with it."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.instant import Millis
from headrace.contracts.voucher import ALPHABET, Generate, VoucherPool
from services.messenger.definitions import Definitions
from services.messenger.journeys import Place, VoucherWish
from services.messenger.store import Connection

_ATTEMPTS = 20


class Vouchers:
    """Keeps `journeys.Assign`."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def assign(
        self, connection: Connection, wishes: Sequence[VoucherWish], now: Millis
    ) -> Mapping[Place, Mapping[str, Any] | None]:
        """A code for each wish, the same one again for the same wish; None where the pool is unknown or has none
        left. A code: {pool_id, code, expires_at (milliseconds, or null), value}."""
        pools = await self._definitions.voucher_pools(connection, {wish.pool_id for wish in wishes})
        given: dict[Place, Mapping[str, Any] | None] = {}
        for wish in sorted(wishes, key=lambda w: (w.pool_id, w.campaign_id, w.entry_id, w.step)):
            pool = pools.get(wish.pool_id)
            place = (wish.campaign_id, wish.entry_id, wish.step)
            await connection.execute(_LOCK, " ".join(place))
            row = await connection.fetchrow(_GIVEN, *place)
            if row is None and pool is not None:
                row = await _give(connection, pool, wish, now)
            given[place] = None if row is None else _code(row, pool)
        return given


async def _give(connection: Connection, pool: VoucherPool, wish: VoucherWish, now: Millis) -> Any:
    expires = None if pool.expires_after_ms is None else now + pool.expires_after_ms
    who = (wish.profile_id, wish.campaign_id, wish.entry_id, wish.step, now, expires)
    if pool.code is not None:
        return await connection.fetchrow(_MAKE, pool.id, pool.code, True, *who)
    row = await connection.fetchrow(_TAKE, pool.id, *who)
    if row is not None or pool.generate is None:
        return row
    return await _generated(connection, pool.id, pool.generate, who)


async def _generated(connection: Connection, pool_id: str, how: Generate, who: tuple[object, ...]) -> Any:
    if how.at_most is not None:
        # one after the other, so that the number is not exceeded
        await connection.execute(_LOCK_POOL, pool_id)
        made = await connection.fetchval("SELECT count(*) FROM voucher_code WHERE pool_id = $1", pool_id)
        if made >= how.at_most:
            return None
    for _ in range(_ATTEMPTS):
        code = how.prefix + "".join(secrets.choice(ALPHABET) for _ in range(how.length))
        row = await connection.fetchrow(_MAKE, pool_id, code, False, *who)
        if row is not None:
            return row
    return None


def _code(row: Any, pool: VoucherPool | None) -> dict[str, Any]:
    return {
        "pool_id": row["pool_id"],
        "code": row["code"],
        "expires_at": row["expires_at"],
        "value": pool.value if pool is not None else None,
    }


_COLUMNS = "pool_id, code, expires_at"
_GIVEN = f"SELECT {_COLUMNS} FROM voucher_code WHERE campaign_id = $1 AND entry_id = $2 AND step = $3"  # noqa: S608
_TAKE = f"""
    UPDATE voucher_code SET profile_id = $2, campaign_id = $3, entry_id = $4, step = $5, assigned_at = $6,
        expires_at = $7
    WHERE id = (
        SELECT id FROM voucher_code WHERE pool_id = $1 AND assigned_at IS NULL
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
"""  # noqa: S608
_MAKE = f"""
    INSERT INTO voucher_code (pool_id, code, shared, profile_id, campaign_id, entry_id, step, created_at,
        assigned_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608
# Who asks for one wish at the same time waits, and finds it granted.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.voucher ' || $1, 0))"
_LOCK_POOL = "SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.vouchers ' || $1, 0))"
