"""How many marketing messages a customer got within the last 30 days, asked only for those who set a maximum.

Two processes that claim for one customer wait for each other: the maximum is not exceeded.
"""

from collections.abc import Iterable, Mapping

from headrace.contracts.communication import read_communication
from headrace.contracts.instant import Millis
from services.messenger.customer import Customer
from services.messenger.store import Connection

MONTH_MS = 30 * 86_400_000
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.maximum ' || id, 0))
    FROM unnest($1::text[]) AS wanted (id) ORDER BY id
"""
# what was handed over, or may have been; by its campaign as it was then
_COUNT = """
    SELECT coalesce(a.root, m.profile_id) AS root, count(*) AS n
    FROM message m LEFT JOIN profiles.alias_v1 a USING (profile_id)
    JOIN definition_version d ON d.kind = 'campaign' AND d.id = m.campaign_id AND d.version = m.campaign_version
    WHERE m.profile_id = ANY(ARRAY(
            SELECT unnest($1::text[])
            UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($1::text[])))
        AND m.claimed_at > $2 AND m.status IN ('claimed', 'accepted', 'delivered', 'bounced', 'unknown')
        AND coalesce(d.body ->> 'purpose', 'marketing') = 'marketing'
    GROUP BY 1
"""


async def sent_lately(connection: Connection, customers: Iterable[Customer], now: Millis) -> Mapping[str, int]:
    """By customer who set a maximum. No statement when there is none among these."""
    roots = sorted(one.id for one in customers if read_communication(one.traits).monthly_maximum is not None)
    if not roots:
        return {}
    await connection.execute(_LOCK, roots)
    rows = await connection.fetch(_COUNT, roots, now - MONTH_MS)
    return dict.fromkeys(roots, 0) | {row["root"]: row["n"] for row in rows}
