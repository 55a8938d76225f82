"""Voucher codes that surveys award: given when a survey's end stands on the timeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from headrace.contracts.customer_update import CustomerUpdate
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from services.messenger.customers import roots_of
from services.messenger.definitions import DIRECT
from services.messenger.journeys import Assign, VoucherWish
from services.messenger.outbox import NewUpdate
from services.messenger.store import Connection
from services.messenger.survey_awards import awarded

log = structlog.get_logger()


class Awards:
    def __init__(self, assign: Assign) -> None:
        self._assign = assign

    async def give(self, connection: Connection, rows: Sequence[EventRow], now: Millis) -> list[NewUpdate]:
        """A code for each survey's end among these events that awards one, once for each customer and survey;
        returns what to tell the customers' records. Where the pool has none left nothing is given, and the log
        says so. History that is imported is awarded nothing."""
        asked = [(row, *found) for row in rows if (found := _award(row)) is not None]
        if not asked:
            return []
        roots = await roots_of(connection, (row.profile_id for row, _, _ in asked))
        there = await connection.fetch(_THERE, sorted(set(roots.values())))
        had = await connection.fetch(_HAD, DIRECT, sorted(set(roots.values())))
        seen = {(row["root"], row["step"]) for row in had}
        present = {row["id"] for row in there}
        wishes: dict[tuple[str, str], tuple[VoucherWish, str]] = {}
        for row, survey, pool in asked:
            root, step = roots[row.profile_id], f"survey:{survey}"
            if root in present and (root, step) not in seen:
                entry = content_id("a", row.source, row.message_id)
                wishes.setdefault((root, step), (VoucherWish(pool, DIRECT, entry, step, root), survey))
        return await self._given(connection, list(wishes.values()), now)

    async def _given(
        self, connection: Connection, wishes: Sequence[tuple[VoucherWish, str]], now: Millis
    ) -> list[NewUpdate]:
        codes = await self._assign(connection, [wish for wish, _ in wishes], now)
        told: list[NewUpdate] = []
        for wish, survey in wishes:
            code = codes[wish.campaign_id, wish.entry_id, wish.step]
            if code is None:
                log.warning("award_not_given", survey=survey, pool=wish.pool_id, reason="no_voucher_left")
            else:
                told.append(NewUpdate(_update(wish, survey, code, now)))
        return told


def _award(row: EventRow) -> tuple[str, str] | None:
    if row.imported:
        return None
    return awarded(row.event, row.source, msgspec.json.decode(bytes(row.properties) or b"{}"))


def _update(wish: VoucherWish, survey: str, code: Mapping[str, Any], now: Millis) -> CustomerUpdate:
    known = {name: value for name, value in code.items() if value is not None}
    return CustomerUpdate(
        message_id=content_id("v", wish.campaign_id, wish.entry_id, wish.step),
        profile_id=wish.profile_id,
        at=now,
        event="Voucher Assigned",
        properties={"survey": survey, "entry_id": wish.entry_id, **known},
    )


_THERE = "SELECT id FROM profiles.profile_v1 WHERE id = ANY($1::text[])"
# Of all the ids that mean one of these customers.
_HAD = """
    SELECT coalesce(a.root, v.profile_id) AS root, v.step
    FROM voucher_code v LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE v.campaign_id = $1 AND v.profile_id IN (
        SELECT unnest($2::text[]) UNION SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($2::text[]))
"""
