"""Who may not enter a campaign again yet (`re_entry`)."""

from collections.abc import Sequence

from headrace.contracts.campaign import CampaignDefinition
from headrace.contracts.instant import Millis
from services.messenger.customers import roots_of
from services.messenger.entering import Start
from services.messenger.store import Connection

REASON = "re_entry"
# Two processes that let one customer enter (after a merge, from two partitions) wait for each other.
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.entry ' || key, 0))
    FROM unnest($1::text[]) AS wanted (key) ORDER BY key
"""
_LAST = """
    SELECT e.campaign_id, coalesce(a.root, e.profile_id) AS root, e.key, e.entry_id, e.entered_at
    FROM entry e LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE e.campaign_id = ANY($1::text[]) AND e.status <> 'refused' AND e.profile_id = ANY(ARRAY(
        SELECT unnest($2::text[])
        UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($2::text[])))
"""
_Place = tuple[str, str, str | None]


async def refused_again(
    connection: Connection, starts: Sequence[tuple[Start, CampaignDefinition]]
) -> dict[tuple[str, str], str]:
    """Of these entries those that come too early after another one of the same customer (and key), with the
    reason. No statement where every campaign allows it always."""
    limited = [
        (start, campaign)
        for start, campaign in starts
        if campaign.re_entry_ms is not None and start.refused is None
    ]
    if not limited:
        return {}
    roots = await roots_of(connection, (start.profile_id for start, _ in limited))
    await connection.execute(_LOCK, sorted({f"{s.campaign_id} {roots[s.profile_id]}" for s, _ in limited}))
    rows = await connection.fetch(_LAST, sorted({s.campaign_id for s, _ in limited}), sorted(set(roots.values())))
    before: dict[_Place, list[tuple[Millis, str]]] = {}
    for row in rows:
        place = (row["campaign_id"], row["root"], row["key"])
        before.setdefault(place, []).append((row["entered_at"], row["entry_id"]))
    refused: dict[tuple[str, str], str] = {}
    for start, campaign in sorted(limited, key=lambda one: (one[0].entered_at, one[0].entry_id)):
        place = (start.campaign_id, roots[start.profile_id], start.key)
        earlier = before.setdefault(place, [])
        if any(_too_early(start, at, entry, campaign) for at, entry in earlier):
            refused[start.campaign_id, start.entry_id] = REASON
        else:
            earlier.append((start.entered_at, start.entry_id))
    return refused


def _too_early(start: Start, at: Millis, entry_id: str, campaign: CampaignDefinition) -> bool:
    if entry_id == start.entry_id:
        return False
    after = campaign.re_entry_ms
    return after == 0 or (after is not None and abs(start.entered_at - at) < after)
