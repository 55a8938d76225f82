"""Codes that were given after the backup that was restored are given still: the log says to whom."""

from collections.abc import Iterable

from headrace.contracts.customer_update import CustomerUpdate
from services.messenger.definitions import Definitions
from services.messenger.store import Connection

_GIVEN = "Voucher Assigned"


async def given_again(connection: Connection, definitions: Definitions, updates: Iterable[CustomerUpdate]) -> None:
    """Mark the codes that these updates tell of, or make them, where the pool had made them since. In the caller's
    transaction; safe to repeat. A pool that the backup does not know is left out."""
    told = [(update, update.properties) for update in updates if update.event == _GIVEN]
    ids = {str(said.get("pool_id")) for _, said in told}
    pools = await definitions.voucher_pools(connection, ids) if ids else {}
    for update, said in told:
        pool = pools.get(str(said.get("pool_id")))
        if pool is None or not isinstance(code := said.get("code"), str):
            continue
        who = (update.profile_id, update.campaign_id, update.entry_id, update.step)
        when = (update.at, said.get("expires_at"))
        taken = None
        if pool.code is None:
            taken = await connection.fetchval(_TAKE, pool.id, code, *who, *when)
        if taken is None:
            await connection.execute(_MAKE, pool.id, code, *who, *when, pool.code is not None)
    await connection.execute(_COUNT_ANEW, sorted(pools))


_TAKE = """
    UPDATE voucher_code SET profile_id = $3, campaign_id = $4, entry_id = $5, step = $6, assigned_at = $7,
        expires_at = $8
    WHERE pool_id = $1 AND upper(code) = upper($2) AND NOT shared AND assigned_at IS NULL
        AND NOT EXISTS (SELECT FROM voucher_code WHERE campaign_id = $4 AND entry_id = $5 AND step = $6)
    RETURNING id
"""
_MAKE = """
    INSERT INTO voucher_code (pool_id, code, profile_id, campaign_id, entry_id, step, created_at, assigned_at,
        expires_at, shared)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) ON CONFLICT DO NOTHING
"""
_COUNT_ANEW = "UPDATE voucher_pool SET made = NULL WHERE pool_id = ANY($1::text[])"
