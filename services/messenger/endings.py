"""What ends a journey before its last step: its segment is left, its goal is reached, the customer is another's.

Functions here write inside the caller's transaction and return the outcomes of messages that are not sent any
more.
"""

from collections.abc import Iterable, Sequence

from headrace.contracts.instant import Millis
from services.messenger import ledger
from services.messenger.outbox import NewOutcome
from services.messenger.reasons import SkipReason
from services.messenger.store import Connection

Key = tuple[str, str]
"""(campaign id, entry id)"""


async def end(
    connection: Connection, keys: Iterable[Key], status: str, reason: SkipReason, now: Millis
) -> list[NewOutcome]:
    """End these journeys if they are under way, and skip their messages that wait."""
    ordered = sorted(set(keys))
    if not ordered:
        return []
    campaigns, entries = [key[0] for key in ordered], [key[1] for key in ordered]
    await connection.execute(_END, campaigns, entries, status, reason, now)
    rows = await connection.fetch(_SKIP, campaigns, entries, reason, now)
    return [ledger.outcome_of(row, "skipped", now, reason=reason) for row in rows]


async def left(connection: Connection, exits: Sequence[tuple[str, str]], now: Millis) -> list[NewOutcome]:
    """`exits`: (segment id, entry id) of customers who left a segment. Ends the journeys that are to end then."""
    if not exits:
        return []
    rows = await connection.fetch(_LEFT, sorted({s for s, _ in exits}), sorted({e for _, e in exits}))
    wanted = set(exits)
    keys = [
        (row["campaign_id"], row["entry_id"]) for row in rows if (row["segment_id"], row["entry_id"]) in wanted
    ]
    return await end(connection, keys, "exited", "segment_exited", now)


async def collapse(connection: Connection, family: Sequence[str], now: Millis) -> list[NewOutcome]:
    """`family`: the ids of one customer, its present one first. Where several of them are on the way in one
    campaign (with one key), the earliest goes on. Two entries of one id are two entries."""
    rows = await connection.fetch(_TWICE, list(family))
    outcomes = await end(connection, [(r["campaign_id"], r["entry_id"]) for r in rows], "cancelled", "merged", now)
    return outcomes + await ledger.collapse(connection, family, now)


_END = """
    UPDATE entry e SET status = $3, reason = $4, ended_at = $5, step = NULL, due_at = NULL
    FROM unnest($1::text[], $2::text[]) AS k (campaign_id, entry_id)
    WHERE e.campaign_id = k.campaign_id AND e.entry_id = k.entry_id AND e.status IN ('active', 'done')
"""
# what may have been sent already is not called skipped
_SKIP = f"""
    UPDATE message m SET status = 'skipped', reason = $3, settled_at = $4
    FROM unnest($1::text[], $2::text[]) AS k (campaign_id, entry_id), entry e
    WHERE m.campaign_id = k.campaign_id AND m.entry_id = k.entry_id AND m.status = 'pending'
        AND m.reason IS DISTINCT FROM 'process_gone'
        AND e.campaign_id = m.campaign_id AND e.entry_id = m.entry_id
    RETURNING {ledger.OUTCOME_COLUMNS}
"""  # noqa: S608
# The definition that counts is the version that the journey began with.
_LEFT = """
    SELECT e.campaign_id, e.entry_id, e.segment_id
    FROM entry e JOIN definition_version v
        ON v.kind = 'campaign' AND v.id = e.campaign_id AND v.version = e.campaign_version
    WHERE e.campaign_id IN (
            SELECT id FROM definition_version WHERE kind = 'campaign'
                AND body -> 'trigger' ->> 'segment' = ANY($1::text[]) AND body ->> 'exit_when' = 'segment_exited')
        AND e.entry_id = ANY($2::text[]) AND e.trigger = 'segment' AND e.status IN ('active', 'done')
        AND v.body ->> 'exit_when' = 'segment_exited'
"""
_TWICE = """
    SELECT e.campaign_id, e.entry_id FROM entry e
    WHERE e.profile_id = ANY($1::text[]) AND e.status = 'active'
        AND EXISTS (
            SELECT FROM entry f
            WHERE f.profile_id = ANY($1::text[]) AND f.profile_id <> e.profile_id AND f.status = 'active'
                AND f.campaign_id = e.campaign_id AND f.key IS NOT DISTINCT FROM e.key
                AND (f.entered_at, f.entry_id) < (e.entered_at, e.entry_id))
"""
