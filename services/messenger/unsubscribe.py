"""Unsubscribing by link: the address is suppressed at once, and the outcome is published, in one transaction."""

from services.messenger import ledger
from services.messenger.customers import load_customers, roots_of
from services.messenger.outbox import OutcomeOutbox
from services.messenger.store import Connection, Pool

REASON = "unsubscribed"


class Unsubscribes:
    """Writes what an unsubscribe link asks for."""

    def __init__(self, pool: Pool, outbox: OutcomeOutbox) -> None:
        self._pool = pool
        self._outbox = outbox

    async def exists(self, message_id: str) -> bool:
        return bool(await self._pool.fetchval("SELECT true FROM message WHERE id = $1", message_id))

    async def unsubscribe(self, message_id: str, now: int) -> bool:
        """Suppress the address that the message went to. A repeat changes nothing, unless the customer has
        granted consent anew since. False when there is no such message."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_MESSAGE, message_id)
            if row is None:
                return False
            root = (await roots_of(connection, [row["profile_id"]]))[row["profile_id"]]
            occurrence = await self._suppress(connection, row["channel"], row["address_hash"], root, now)
            if row["erased_at"] is None:
                await connection.execute(_MARK, message_id, now)
            if occurrence is not None and row["erased_at"] is None:
                message = {**dict(row), "profile_id": root}
                outcome = ledger.outcome_of(message, "unsubscribed", now, occurrence=occurrence)
                await self._outbox.append(connection, [outcome], now)
        return True

    async def _suppress(
        self, connection: Connection, channel: str, address_hash: str | None, root: str, now: int
    ) -> int | None:
        """How often the address has been suppressed before; None when it stands as it is."""
        if address_hash is None:
            return None
        row = await connection.fetchrow(_SUPPRESSION, channel, address_hash, REASON)
        if row is None:
            inserted = await connection.fetchval(_SUPPRESS, channel, address_hash, REASON, now)
            return 0 if inserted else None
        customer = (await load_customers(connection, [root])).get(root)
        consent = customer.consents.get(channel) if customer else None
        if consent is None or consent.status != "granted" or consent.time <= row["at"]:
            return None
        await connection.execute(_SUPPRESS_AGAIN, channel, address_hash, REASON, now)
        return int(row["occurrence"]) + 1


_MESSAGE = """
    SELECT m.id, m.channel, m.profile_id, m.campaign_id, m.campaign_version, m.entry_id, m.step, m.provider,
        m.provider_message_id, m.address_hash, m.erased_at, e.segment_id, e.traceparent
    FROM message m JOIN entry e USING (campaign_id, entry_id) WHERE m.id = $1 FOR UPDATE OF m
"""
_MARK = "UPDATE message SET unsubscribed_at = coalesce(unsubscribed_at, $2) WHERE id = $1"
_SUPPRESSION = """
    SELECT at, occurrence FROM suppression WHERE channel = $1 AND address_hash = $2 AND reason = $3 FOR UPDATE
"""
_SUPPRESS = "INSERT INTO suppression VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING RETURNING true"
_SUPPRESS_AGAIN = """
    UPDATE suppression SET at = $4, occurrence = occurrence + 1
    WHERE channel = $1 AND address_hash = $2 AND reason = $3
"""
