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
# what was handed over, or may have been
_SENT = f"""
    SELECT coalesce(a.root, m.profile_id) AS root, m.campaign_id, m.channel, m.claimed_at
    FROM message m LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE {_FAMILY} AND m.claimed_at > $2 AND m.purpose = 'marketing'
        AND m.status IN ('claimed', 'accepted', 'delivered', 'bounced', 'unknown')
"""  # noqa: S608
_WAITING = f"""
    SELECT coalesce(a.root, m.profile_id) AS root, m.id, m.campaign_id, m.channel, m.priority
    FROM message m LEFT JOIN profiles.alias_v1 a USING (profile_id)
    JOIN definition d ON d.kind = 'campaign' AND d.id = m.campaign_id AND d.state = 'live'
    WHERE {_FAMILY} AND m.status = 'pending' AND m.due_at <= $2 AND m.purpose = 'marketing'
        AND NOT m.id = ANY($3::text[])
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
        found[row["root"]].sent.append(Sent(row["campaign_id"], row["channel"], row["claimed_at"]))
    waiting: dict[str, list[Waiting]] = {}
    for row in await connection.fetch(_WAITING, wanted, now, sorted(claimed)):
        one = Waiting(row["id"], row["campaign_id"], row["channel"], row["priority"])
        waiting.setdefault(row["root"], []).append(one)
    for root, ones in waiting.items():
        found[root].waiting = ones
    return found
