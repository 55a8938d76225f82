"""Voucher codes that come back: events that name a code redeem it, once."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from services.messenger.customers import roots_of
from services.messenger.definitions import REDEEMING
from services.messenger.outbox import NewUpdate
from services.messenger.store import Connection

_MAX_CODES = 20


def codes_of(row: EventRow) -> tuple[str, ...]:
    """The codes that the event names, in capitals, without repeats: `coupon`, `coupon_id`, `coupon_name` and the
    `coupon` of each product."""
    properties = msgspec.json.decode(bytes(row.properties) or b"{}")
    if not isinstance(properties, Mapping) or row.event not in REDEEMING:
        return ()
    named = [properties.get(name) for name in ("coupon", "coupon_id", "coupon_name")]
    products = properties.get("products")
    lines = products if isinstance(products, list) else []
    named += [line.get("coupon") for line in lines if isinstance(line, Mapping)]
    found = (name.strip().upper() for name in named if isinstance(name, str) and "\0" not in name)
    return tuple(dict.fromkeys(code for code in found if 0 < len(code) <= 64))[:_MAX_CODES]


async def redeem(connection: Connection, rows: Sequence[EventRow], now: Millis) -> list[NewUpdate]:
    """Mark the codes that these events name as redeemed, and tell the customers' records. Only a code that was
    given counts, and once: a shared one once for each who got it."""
    naming = [(row, codes) for row in rows if (codes := codes_of(row))]
    if not naming:
        return []
    roots = await roots_of(connection, (row.profile_id for row, _ in naming))
    told: list[NewUpdate] = []
    for row, codes in naming:
        for code in codes:
            taken = await connection.fetchrow(_REDEEM, code, roots[row.profile_id], row.ts, _order_of(row))
            if taken is not None:
                told.append(NewUpdate(_update(row, roots[row.profile_id], taken)))
    return told


def _order_of(row: EventRow) -> str | None:
    properties = msgspec.json.decode(bytes(row.properties) or b"{}")
    order = properties.get("order_id") if isinstance(properties, Mapping) else None
    return str(order).replace("\0", "")[:200] if isinstance(order, str | int) else None


def _update(row: EventRow, profile_id: str, taken: Any) -> CustomerUpdate:
    properties = {
        "pool_id": taken["pool_id"],
        "code": taken["code"],
        "redeemed": taken["redeemed"],
        "campaign_id": taken["campaign_id"],
        "entry_id": taken["entry_id"],
        "order_id": taken["order_id"],
    }
    return CustomerUpdate(
        message_id=content_id("v", row.source, row.message_id, taken["pool_id"], taken["code"]),
        profile_id=profile_id,
        at=row.ts,
        event="Voucher Redeemed",
        properties={name: value for name, value in properties.items() if value is not None},
    )


# The customer's own code first; one that somebody else was given is marked as such. A shared code is only one's
# own.
_REDEEM = """
    UPDATE voucher_code v SET redeemed_at = $3, order_id = $4,
        redeemed = CASE WHEN c.other THEN 'by_another' WHEN v.expires_at < $3 THEN 'late' ELSE 'in_time' END
    FROM (
        SELECT w.id, coalesce(a.root, w.profile_id) IS DISTINCT FROM $2 AS other
        FROM voucher_code w LEFT JOIN profiles.alias_v1 a USING (profile_id)
        WHERE upper(w.code) = $1 AND w.assigned_at IS NOT NULL AND w.redeemed_at IS NULL
            AND (NOT w.shared OR coalesce(a.root, w.profile_id) = $2)
        ORDER BY 2, w.assigned_at, w.id LIMIT 1 FOR UPDATE OF w) c
    WHERE v.id = c.id
    RETURNING v.pool_id, v.code, v.redeemed, v.campaign_id, v.entry_id, v.order_id
"""
