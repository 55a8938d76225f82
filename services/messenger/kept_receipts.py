"""Receipts for messages that are known from the log only, until the ledger has made them again after a restore."""

from collections.abc import Collection, Sequence

import msgspec

from services.messenger.receipts.port import Receipt
from services.messenger.store import Connection

_decoder = msgspec.json.Decoder(Receipt)


async def keep(connection: Connection, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
    """Put aside those that have to wait; return the others. In the caller's transaction."""
    ours = sorted({one.message_id for one in receipts if one.message_id})
    theirs = sorted({one.provider_message_id for one in receipts if one.provider_message_id})
    rows = await connection.fetch(_WAITING, ours, theirs) if receipts else []
    waiting = {row["message_id"]: row["message_id"] for row in rows}
    waiting |= {row["provider_message_id"]: row["message_id"] for row in rows if row["provider_message_id"]}
    others = []
    for receipt in receipts:
        message_id = waiting.get(receipt.message_id or "") or waiting.get(receipt.provider_message_id or "")
        if message_id is None:
            others.append(receipt)
        else:
            await connection.execute(_KEEP, message_id, msgspec.json.encode(receipt).decode())
    return others


async def take_out(connection: Connection, message_ids: Collection[str]) -> list[Receipt]:
    """Those that waited for these messages, in the order in which they came."""
    rows = await connection.fetch(_TAKE, sorted(message_ids))
    return [_decoder.decode(row["receipt"]) for row in sorted(rows, key=lambda row: row["n"])]


# Whoever settles such a message holds its row: a receipt is kept before, or finds the message settled.
_WAITING = """
    SELECT message_id, provider_message_id FROM recovered
    WHERE applied_at IS NULL AND (message_id = ANY($1::text[]) OR provider_message_id = ANY($2::text[]))
    FOR SHARE
"""
_KEEP = "INSERT INTO recovered_receipt (message_id, receipt) VALUES ($1, $2)"
_TAKE = "DELETE FROM recovered_receipt WHERE message_id = ANY($1::text[]) RETURNING n, receipt::text AS receipt"
