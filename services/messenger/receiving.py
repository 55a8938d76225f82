"""Receipts in the ledger: each moves its message forward, once, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.instant import Millis
from services.messenger import ledger
from services.messenger.cascade import follow
from services.messenger.consent import BOUNCED, COMPLAINED, OPTED_OUT
from services.messenger.definitions import Definitions
from services.messenger.outbox import NewOutcome
from services.messenger.receipt_state import Known, Step, step
from services.messenger.receipts.port import Receipt
from services.messenger.store import Connection


class Receiving:
    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def take(
        self, connection: Connection, receipts: Sequence[Receipt], now: Millis
    ) -> tuple[list[NewOutcome], int, bool]:
        """Apply receipts in their order. Returns the outcomes to tell, how many receipts name no message of ours,
        and whether something is due because of them."""
        rows = await self._rows(connection, receipts)
        outcomes: list[NewOutcome] = []
        settled: list[tuple[str, str, str | None]] = []
        unmatched = 0
        for receipt in receipts:
            row = rows.get(receipt.message_id or "") or rows.get(receipt.provider_message_id or "")
            if row is None:
                unmatched += 1
                continue
            done = step(_known(row), receipt.outcome)
            if done.status is not None or done.told:
                await _write(connection, row, receipt, done)
                outcomes += _told(row, receipt, done)
                if done.status is not None:
                    settled.append((row["id"], done.status, receipt.reason))
            await _suppress(connection, row, receipt)
        followed = await follow(connection, self._definitions, settled, now)
        return outcomes, unmatched, followed

    async def _rows(self, connection: Connection, receipts: Sequence[Receipt]) -> Mapping[str, dict[str, Any]]:
        """The messages, locked, by our id and by the provider's."""
        ours = sorted({r.message_id for r in receipts if r.message_id})
        theirs = sorted({r.provider_message_id for r in receipts if r.provider_message_id})
        found: dict[str, dict[str, Any]] = {}
        for record in await connection.fetch(_MESSAGES, ours, theirs):
            row = dict(record)
            if row["provider_message_id"]:
                found.setdefault(row["provider_message_id"], row)
            found[row["id"]] = row
        return found


def _known(row: Mapping[str, Any]) -> Known:
    return Known(row["status"], row["opened_at"] is not None, row["complained_at"] is not None)


async def _write(connection: Connection, row: dict[str, Any], receipt: Receipt, done: Step) -> None:
    """In the row at hand as well: the next receipt may be about the same message."""
    told = set(done.told)
    if done.status is not None:
        row.update(status=done.status, reason=receipt.reason)
    if row["provider_message_id"] is None:
        row["provider_message_id"] = receipt.provider_message_id
    for outcome, column in (
        ("delivered", "delivered_at"),
        ("opened", "opened_at"),
        ("complained", "complained_at"),
    ):
        if outcome in told and row[column] is None:
            row[column] = receipt.at
    await connection.execute(
        _WRITE,
        *(row["id"], row["status"], row["reason"], row["provider_message_id"], row["delivered_at"]),
        *(row["opened_at"], row["complained_at"], receipt.at),
    )


def _told(row: Mapping[str, Any], receipt: Receipt, done: Step) -> list[NewOutcome]:
    if row["erased_at"] is not None:
        return []
    ends = ("failed", "bounced")
    return [
        ledger.outcome_of(row, outcome, receipt.at, reason=receipt.reason if outcome in ends else None)
        for outcome in done.told
    ]


async def _suppress(connection: Connection, row: Mapping[str, Any], receipt: Receipt) -> None:
    """What a receipt says of the address holds for every campaign."""
    reasons = [
        *([BOUNCED] if receipt.permanent and receipt.outcome in ("failed", "bounced") else []),
        *([OPTED_OUT] if receipt.opted_out else []),
        *([COMPLAINED] if receipt.outcome == "complained" else []),
    ]
    if row["address_hash"] is not None:
        for reason in reasons:
            await connection.execute(_SUPPRESS, row["channel"], row["address_hash"], reason, receipt.at)


_MESSAGES = f"""
    SELECT {ledger.OUTCOME_COLUMNS}, m.opened_at, m.complained_at, m.delivered_at, m.address_hash
    FROM message m JOIN entry e USING (campaign_id, entry_id)
    WHERE m.id = ANY($1::text[]) OR m.provider_message_id = ANY($2::text[])
    ORDER BY m.id FOR UPDATE OF m
"""  # noqa: S608
_WRITE = """
    UPDATE message SET status = $2, reason = $3, provider_message_id = $4, delivered_at = $5, opened_at = $6,
        complained_at = $7, settled_at = coalesce(settled_at, $8)
    WHERE id = $1
"""
_SUPPRESS = """
    INSERT INTO suppression AS s VALUES ($1, $2, $3, $4, 0)
    ON CONFLICT (channel, address_hash, reason) DO UPDATE SET at = greatest(s.at, excluded.at)
"""
