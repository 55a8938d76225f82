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
        by_place = {_place(wish): wish for wish in sorted(wishes, key=_order)}
        if not by_place:
            return {}
        pools = await self._definitions.voucher_pools(connection, {wish.pool_id for wish in wishes})
        # all locks of places come before those of pools, each in one order: who shares them waits, none for ever
        await connection.execute(_LOCK, [" ".join(place) for place in sorted(by_place)])
        rows = list(await connection.fetch(_GIVEN, *_columns(list(by_place.values()))[1:]))
        had = {_place(row) for row in rows}
        for pool_id in sorted(pools):
            asking = [w for place, w in by_place.items() if place not in had and w.pool_id == pool_id]
            rows += await _give(connection, pools[pool_id], asking, now)
        found = {_place(row): _code(row, pools.get(row["pool_id"])) for row in rows}
        return {place: found.get(place) for place in by_place}


async def _give(
    connection: Connection, pool: VoucherPool, wishes: Sequence[VoucherWish], now: Millis
) -> list[Any]:
    """The rows of the wishes that could be granted."""
    expires = None if pool.expires_after_ms is None else now + pool.expires_after_ms
    when = (now, expires)
    if not wishes:
        return []
    if pool.code is not None:
        return list(
            await connection.fetch(_MAKE, pool.id, True, *when, [pool.code] * len(wishes), *_columns(wishes))
        )
    taken = list(await connection.fetch(_TAKE, pool.id, *when, len(wishes), *_columns(wishes)))
    if pool.generate is None:
        return taken
    granted = {_place(row) for row in taken}
    rest = [wish for wish in wishes if _place(wish) not in granted]
    return taken + await _generated(connection, pool.id, pool.generate, rest, when)


async def _generated(
    connection: Connection,
    pool_id: str,
    how: Generate,
    wishes: Sequence[VoucherWish],
    when: tuple[Millis, Millis | None],
) -> list[Any]:
    if how.at_most is not None and wishes:
        wishes = wishes[: max(0, how.at_most - await _made(connection, pool_id))]
    rows: list[Any] = []
    waiting = list(wishes)
    for _ in range(_ATTEMPTS):
        if not waiting:
            break
        codes = [_new_code(how) for _ in waiting]
        rows += await connection.fetch(_MAKE, pool_id, False, *when, codes, *_columns(waiting))
        granted = {_place(row) for row in rows}
        waiting = [wish for wish in waiting if _place(wish) not in granted]
    if how.at_most is not None and rows:
        await connection.execute("UPDATE voucher_pool SET made = made + $2 WHERE pool_id = $1", pool_id, len(rows))
    return rows


async def _made(connection: Connection, pool_id: str) -> int:
    """How many codes the pool has; nobody else makes some until the transaction ends."""
    await connection.execute("INSERT INTO voucher_pool (pool_id) VALUES ($1) ON CONFLICT DO NOTHING", pool_id)
    made = await connection.fetchval("SELECT made FROM voucher_pool WHERE pool_id = $1 FOR UPDATE", pool_id)
    return int(await connection.fetchval(_COUNT_MADE, pool_id) if made is None else made)


def _new_code(how: Generate) -> str:
    return how.prefix + "".join(secrets.choice(ALPHABET) for _ in range(how.length))


def _order(wish: VoucherWish) -> tuple[str, ...]:
    return wish.pool_id, wish.campaign_id, wish.entry_id, wish.step


def _place(of: Any) -> Place:
    """Of a wish, or of a row."""
    if isinstance(of, VoucherWish):
        return of.campaign_id, of.entry_id, of.step
    return of["campaign_id"], of["entry_id"], of["step"]


def _columns(wishes: Sequence[VoucherWish]) -> tuple[list[str], list[str], list[str], list[str]]:
    """profile ids, campaign ids, entry ids, steps"""
    return (
        [wish.profile_id for wish in wishes],
        [wish.campaign_id for wish in wishes],
        [wish.entry_id for wish in wishes],
        [wish.step for wish in wishes],
    )


def _code(row: Any, pool: VoucherPool | None) -> dict[str, Any]:
    return {
        "pool_id": row["pool_id"],
        "code": row["code"],
        "expires_at": row["expires_at"],
        "value": pool.value if pool is not None else None,
    }


_COLUMNS = "v.pool_id, v.code, v.expires_at, v.campaign_id, v.entry_id, v.step"
_GIVEN = f"""
    SELECT {_COLUMNS} FROM voucher_code v
    JOIN unnest($1::text[], $2::text[], $3::text[]) AS w (campaign_id, entry_id, step)
        USING (campaign_id, entry_id, step)
"""  # noqa: S608
# The nth free code for the nth wish.
_TAKE = f"""
    WITH free AS MATERIALIZED (
        SELECT id FROM voucher_code WHERE pool_id = $1 AND assigned_at IS NULL
        ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED),
    numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM free),
    wish AS (SELECT * FROM unnest($5::text[], $6::text[], $7::text[], $8::text[])
        WITH ORDINALITY AS w (profile_id, campaign_id, entry_id, step, n))
    UPDATE voucher_code v SET profile_id = w.profile_id, campaign_id = w.campaign_id, entry_id = w.entry_id,
        step = w.step, assigned_at = $2, expires_at = $3
    FROM numbered JOIN wish w USING (n)
    WHERE v.id = numbered.id
    RETURNING {_COLUMNS}
"""  # noqa: S608
_MAKE = f"""
    INSERT INTO voucher_code AS v (pool_id, shared, created_at, assigned_at, expires_at, code, profile_id,
        campaign_id, entry_id, step)
    SELECT $1, $2, $3::bigint, $3::bigint, $4::bigint, w.*
    FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[]) AS w
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608
_COUNT_MADE = """
    WITH counted AS (SELECT count(*) AS codes FROM voucher_code WHERE pool_id = $1 AND NOT shared)
    UPDATE voucher_pool SET made = codes FROM counted WHERE pool_id = $1 RETURNING made
"""
# Who asks for one wish at the same time waits, and finds it granted.
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.voucher ' || place, 0))
    FROM unnest($1::text[]) AS p (place)
"""
