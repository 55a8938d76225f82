"""What customers have got lately, read under a lock: two processes that claim for one customer wait for each
other, so that no cap is exceeded. Only for customers whom a cap concerns."""

from collections.abc import Collection, Mapping

from headrace.contracts.instant import Millis
from services.messenger.caps import Sent, Tally, Waiting
from services.messenger.store import Connection

_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.maximum ' || id, 0))
    FROM unnest($1::text[]) AS wanted (id) ORDER BY id
"""
_FAMILY = """m.profile_id = ANY(ARRAY(
        SELECT unnest($1::text[])
        UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($1::text[])))"""
# What was handed over, or may have been: by a process that is gone, too. A webhook is no message to the customer.
_SENT = f"""
    SELECT coalesce(a.root, m.profile_id) AS root, m.id, m.campaign_id, m.channel, m.claimed_at,
        m.purpose = 'marketing' AS marketing
    FROM message m LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE {_FAMILY} AND m.claimed_at > $2 AND m.channel <> 'webhook'
        AND (m.status IN ('claimed', 'accepted', 'delivered', 'bounced', 'unknown')
            OR m.status = 'pending' AND m.reason = 'process_gone')
"""  # noqa: S608
# Due, or kept back by others that come first: who waits for those is not overtaken meanwhile.
_WAITING = f"""
    SELECT coalesce(a.root, m.profile_id) AS root, m.id, m.campaign_id, m.channel, m.priority
    FROM message m LEFT JOIN profiles.alias_v1 a USING (profile_id)
    JOIN definition d ON d.kind = 'campaign' AND d.id = m.campaign_id AND d.state = 'live'
    WHERE {_FAMILY} AND m.status = 'pending' AND (m.due_at <= $2 OR m.reason = 'priority')
        AND m.reason IS DISTINCT FROM 'process_gone' AND m.purpose = 'marketing' AND NOT m.id = ANY($3::text[])
"""  # noqa: S608


async def tallies(
    connection: Connection, roots: Collection[str], window_ms: Millis, claimed: Collection[str], now: Millis
) -> Mapping[str, Tally]:
    """By customer (its root), what it got within `window_ms`, and what else is due for it besides the messages
    `claimed`. No statement when no customer is concerned."""
    if not roots:
        return {}
    wanted = sorted(set(roots))
    await connection.execute(_LOCK, wanted)
    found = {root: Tally() for root in wanted}
    for row in await connection.fetch(_SENT, wanted, now - window_ms):
        one = Sent(row["campaign_id"], row["channel"], row["claimed_at"], row["marketing"])
        found[row["root"]].sent[row["id"]] = one
    for row in await connection.fetch(_WAITING, wanted, now, sorted(claimed)):
        due = Waiting(row["id"], row["campaign_id"], row["channel"], row["priority"])
        found[row["root"]].waiting.append(due)
    return found
