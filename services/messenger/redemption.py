"""Voucher codes that come back: events that name a code redeem it, once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id
from headrace.contracts.profile_event import EventRow
from services.messenger.coupons import REDEEMING, Given, Redemption, Use, codes_in, order_in, redemptions
from services.messenger.customers import roots_of
from services.messenger.outbox import NewUpdate
from services.messenger.store import Connection


async def redeem(connection: Connection, rows: Sequence[EventRow]) -> list[NewUpdate]:
    """Mark the codes that these events name as redeemed, and tell the customers' records. Only a code that was
    given counts, and once: a shared one once for each who got it. Imported events count as well."""
    naming = [(number, row) for number, row in enumerate(rows) if row.event in REDEEMING]
    uses = [use for number, row in naming if (use := _use(number, row)).codes]
    wanted = {code for use in uses for code in use.codes}
    known = {row["code"] for row in await connection.fetch(_KNOWN, sorted(wanted))} if wanted else set()
    if not known:  # shops have coupons of their own
        return []
    roots = await roots_of(connection, (use.root for use in uses))
    uses = [replace(use, root=roots[use.root]) for use in uses]
    done = list(redemptions(uses, await _given(connection, known, {use.root for use in uses})))
    await connection.executemany(
        "UPDATE voucher_code SET redeemed_at = $2, redeemed = $3, order_id = $4 WHERE id = $1",
        [(one.given.id, one.use.at, one.redeemed, one.use.order_id) for one in done],
    )
    return [NewUpdate(_update(rows[one.use.number], one)) for one in done]


async def _given(connection: Connection, codes: set[str], roots: set[str]) -> list[Given]:
    """The given codes that could be meant, locked in one order; of shared ones those of these customers."""
    families = await connection.fetch(_FAMILIES, sorted(roots))
    ids = sorted(roots | {row["profile_id"] for row in families})
    single = await connection.fetch(_SINGLE, sorted(codes))
    shared = await connection.fetch(_SHARED, sorted(codes), ids)
    return [Given(**row) for row in (*single, *shared)]


def _use(number: int, row: EventRow) -> Use:
    properties = msgspec.json.decode(bytes(row.properties) or b"{}")
    return Use(number, row.profile_id, row.ts, codes_in(row.event, properties), order_in(properties))


def _update(row: EventRow, done: Redemption) -> CustomerUpdate:
    given = done.given
    properties: dict[str, Any] = {
        "pool_id": given.pool_id,
        "code": given.code,
        "redeemed": done.redeemed,
        "campaign_id": given.campaign_id,
        "entry_id": given.entry_id,
        "order_id": done.use.order_id,
    }
    return CustomerUpdate(
        message_id=content_id("v", row.source, row.message_id, given.pool_id, given.code),
        profile_id=done.use.root,
        at=row.ts,
        event="Voucher Redeemed",
        properties={name: value for name, value in properties.items() if value is not None},
    )


_FAMILIES = "SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($1::text[])"
_OPEN = "w.assigned_at IS NOT NULL AND w.redeemed_at IS NULL"
_KNOWN = f"""
    SELECT code FROM unnest($1::text[]) AS named (code)
    WHERE EXISTS (SELECT FROM voucher_code w WHERE upper(w.code) = named.code AND {_OPEN})
"""  # noqa: S608
_CANDIDATES = f"""
    SELECT w.id, w.pool_id, w.code, w.shared, coalesce(a.root, w.profile_id) AS root, w.assigned_at, w.expires_at,
        w.campaign_id, w.entry_id
    FROM voucher_code w LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE upper(w.code) = ANY($1::text[]) AND {_OPEN}
"""  # noqa: S608
_SINGLE = f"{_CANDIDATES} AND NOT w.shared ORDER BY w.id FOR UPDATE OF w"
_SHARED = f"{_CANDIDATES} AND w.shared AND w.profile_id = ANY($2::text[]) ORDER BY w.id FOR UPDATE OF w"
