"""Messages as they are made: pending, or settled at once where they come too late. In the caller's transaction."""

from collections.abc import Sequence
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


async def insert(connection: Connection, messages: Sequence[NewMessage], now: Millis) -> None:
    """Store them; one that is there already stays as it is."""
    if messages:
        await connection.execute(_INSERT, *zip(*(_row(one, now) for one in messages), strict=True))


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
        continues)
    SELECT id, campaign_id, entry_id, step, campaign_version, profile_id, channel, template_id,
        status, reason, at, at, settled_at, ready_at, purpose, priority, string_to_array(channels, ','),
        alternative, continues
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::int[], $16::text[],
        $17::int[], $18::bool[])
        AS new (id, campaign_id, entry_id, step, campaign_version, profile_id, channel, template_id,
            status, reason, at, settled_at, ready_at, purpose, priority, channels, alternative, continues)
    ON CONFLICT DO NOTHING
"""
