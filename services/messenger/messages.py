"""Messages as they are made: pending, or settled at once where they come too late. In the caller's transaction.

After a restore a message may have been sent already: of what the log knows of it, or what was due before the
restore and has a cause from before it, nothing is pending. It stands as claimed, and `recovery.py` settles it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headrace.contracts.instant import Millis
from services.messenger.reasons import SkipReason
from services.messenger.store import Connection


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to decide on. `channels` in the order in which they are tried, of which this is `alternative`;
    `ready_at`: when its step was due. `skip`: why it is not even tried."""

    id: str
    campaign_id: str
    entry_id: str
    step: str
    campaign_version: int
    profile_id: str
    channel: str
    template_id: str | None
    channels: Sequence[str]
    purpose: str
    priority: int
    ready_at: Millis
    continues: bool
    alternative: int = 0
    skip: SkipReason | None = None


async def insert(connection: Connection, messages: Sequence[NewMessage], now: Millis) -> Collection[str]:
    """Store them; one that is there already stays as it is. Returns the ids of those that may have been sent
    before the restore: nothing is to be said of them yet."""
    if not messages:
        return ()
    rows = await connection.fetch(_INSERT, *zip(*(_row(one, now) for one in messages), strict=True))
    return {row["id"] for row in rows if row["status"] == "claimed"}


def _row(message: NewMessage, now: Millis) -> tuple[object, ...]:
    return (
        *(message.id, message.campaign_id, message.entry_id, message.step, message.campaign_version),
        *(message.profile_id, message.channel, message.template_id, "skipped" if message.skip else "pending"),
        *(message.skip, now, now if message.skip else None, message.ready_at, message.purpose, message.priority),
        *(",".join(message.channels), message.alternative, message.continues),
    )


_INSERT = """
    INSERT INTO message (id, campaign_id, entry_id, step, campaign_version, profile_id, channel, template_id,
        status, reason, due_at, created_at, settled_at, ready_at, purpose, priority, channels, alternative,
        continues, claimed_at)
    SELECT new.id, new.campaign_id, new.entry_id, new.step, new.campaign_version, new.profile_id, new.channel,
        new.template_id, CASE WHEN doubt THEN 'claimed' ELSE new.status END,
        CASE WHEN doubt THEN 'restored' ELSE new.reason END, new.at, new.at,
        CASE WHEN NOT doubt THEN new.settled_at END, new.ready_at, new.purpose, new.priority,
        string_to_array(new.channels, ','), new.alternative, new.continues, CASE WHEN doubt THEN new.ready_at END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::int[], $16::text[],
        $17::int[], $18::bool[])
        AS new (id, campaign_id, entry_id, step, campaign_version, profile_id, channel, template_id,
            status, reason, at, settled_at, ready_at, purpose, priority, channels, alternative, continues)
        JOIN entry e ON e.campaign_id = new.campaign_id AND e.entry_id = new.entry_id
        LEFT JOIN store ON store.restored_at IS NOT NULL
        LEFT JOIN recovered r ON store.restored_at IS NOT NULL AND r.message_id = new.id AND r.applied_at IS NULL
        CROSS JOIN LATERAL (SELECT coalesce(r.message_id IS NOT NULL
            OR new.status = 'pending' AND new.ready_at <= store.restored_at
                AND (e.doubted OR e.created_at <= store.restored_at), false) AS doubt) AS d
    ON CONFLICT DO NOTHING RETURNING id, status
"""
