"""What follows a message that is settled: the step's next channel, or the next step of the journey.

In the transaction that settles it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.ids import send_id
from headrace.contracts.instant import Millis
from services.messenger import messages
from services.messenger.definitions import Definitions
from services.messenger.messages import NewMessage
from services.messenger.store import Connection

NEXT_CHANNEL_REASONS = frozenset(
    {"no_consent", "suppressed", "preference", "no_address", "template_missing", "template_error", "spend_cap"}
)
"""Why a message that was skipped says nothing about another channel. What concerns the customer as a whole, such
as a frequency cap, ends the step."""
_UNDELIVERED = frozenset({"failed", "bounced"})


def goes_on(status: str, reason: str | None) -> bool:
    """Whether a message settled so lets the next channel try."""
    return status in _UNDELIVERED or (status == "skipped" and reason in NEXT_CHANNEL_REASONS)


async def follow(
    connection: Connection,
    definitions: Definitions,
    settled: Iterable[tuple[str, str, str | None]],
    now: Millis,
    *,
    since: Mapping[str, Millis] | None = None,
) -> bool:
    """`settled`: (message id, status, reason). True when something is pending or due because of it. `since`: of a
    message that was settled earlier, when that was: what follows was due then."""
    times = since or {}
    wanted = {message_id: (status, reason) for message_id, status, reason in settled}
    rows = await connection.fetch(_ROWS, sorted(wanted)) if wanted else []
    if not rows:
        return False
    versions = await definitions.campaign_versions(
        connection, ((row["campaign_id"], row["campaign_version"]) for row in rows)
    )
    new: list[NewMessage] = []
    go_on: list[tuple[Any, Millis]] = []
    for row in rows:
        campaign = versions[row["campaign_id"], row["campaign_version"]]
        at = times.get(row["id"], now)
        following = _next(row, campaign, at) if goes_on(*wanted[row["id"]]) else None
        if following is not None:
            new.append(following)
        elif row["continues"]:
            go_on.append((row, at))
    await messages.insert(connection, new, now)
    await _wake(connection, go_on)
    return bool(new or go_on)


def _next(row: Any, campaign: CampaignDefinition, now: Millis) -> NewMessage | None:
    channels: Sequence[str] = row["channels"]
    alternative = row["alternative"] + (2 if row["cascaded"] else 1)
    if alternative >= len(channels) or row["ended"]:
        return None
    send = next((send for path, send in campaign.sends if path == row["step"]), None)
    if send is None:
        return None
    channel = channels[alternative]
    return NewMessage(
        id=send_id(row["campaign_id"], row["entry_id"], f"{row['step']}/{alternative}"),
        campaign_id=row["campaign_id"],
        entry_id=row["entry_id"],
        step=row["step"],
        campaign_version=row["campaign_version"],
        profile_id=row["profile_id"],
        channel=channel,
        template_id=send.template_for(channel),
        channels=channels,
        purpose=row["purpose"],
        priority=row["priority"],
        ready_at=row["ready_at"] if row["status"] == "skipped" else now,
        continues=row["continues"],
        alternative=alternative,
    )


async def _wake(connection: Connection, rows: Sequence[tuple[Any, Millis]]) -> None:
    if rows:
        due = {(row["campaign_id"], row["entry_id"]): at for row, at in rows}
        ordered = sorted(due)
        times = [due[key] for key in ordered]
        await connection.execute(_GO_ON, [key[0] for key in ordered], [key[1] for key in ordered], times)


_ROWS = """
    SELECT m.id, m.campaign_id, m.campaign_version, m.entry_id, m.step, m.profile_id, m.channels, m.alternative,
        m.continues, m.cascaded, m.purpose, m.priority, m.ready_at, m.status,
        m.erased_at IS NOT NULL OR e.status IN ('exited', 'converted', 'cancelled') AS ended
    FROM message m JOIN entry e USING (campaign_id, entry_id)
    WHERE m.id = ANY($1::text[]) AND (m.continues OR m.alternative + 1 < cardinality(m.channels))
    ORDER BY m.id
"""
# A journey that waits for a message is under way and has no due time. A late word about an earlier message of the
# same step finds it gone on, and changes nothing.
_GO_ON = """
    UPDATE entry e SET due_at = k.at
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (campaign_id, entry_id, at)
    WHERE e.campaign_id = k.campaign_id AND e.entry_id = k.entry_id AND e.status = 'active' AND e.due_at IS NULL
"""
