"""Messages that are sent by hand: an answer, or a help text. In the ledger like every other, under `direct`."""

from headrace.contracts.ids import content_id, send_id
from headrace.contracts.instant import Millis
from services.messenger import messages
from services.messenger.definitions import DIRECT
from services.messenger.messages import NewMessage
from services.messenger.store import Connection


class Direct:
    async def send(
        self,
        connection: Connection,
        profile_id: str,
        channel: str,
        text: str,
        *,
        request: str,
        now: Millis,
        asked_at: Millis | None = None,
    ) -> str:
        """Have this text sent to the customer, in the caller's transaction; returns the message's id. The same
        `request` is one message. `asked_at`: when it was asked for, if not now."""
        since = now if asked_at is None else asked_at
        entry_id = content_id("e", DIRECT, request)
        message_id = send_id(DIRECT, entry_id, "0")
        await connection.execute(_ENTRY, DIRECT, entry_id, profile_id, now, since)
        new = NewMessage(
            id=message_id,
            campaign_id=DIRECT,
            entry_id=entry_id,
            step="0",
            campaign_version=1,
            profile_id=profile_id,
            channel=channel,
            template_id=None,
            channels=(channel,),
            purpose="transactional",
            priority=100,
            ready_at=since,
            continues=False,
        )
        await messages.insert(connection, [new], now)
        await connection.execute(
            "UPDATE message SET literal = $2 WHERE id = $1 AND status = 'pending'", message_id, text
        )
        return message_id


_ENTRY = """
    INSERT INTO entry (campaign_id, entry_id, campaign_version, profile_id, computed, entered_at, created_at,
    trigger,
        status, ended_at, doubted)
    VALUES ($1, $2, 1, $3, '{}', $4, $4, 'direct', 'done', $4, $5 <= coalesce((SELECT restored_at FROM store), -1))
    ON CONFLICT DO NOTHING
"""
