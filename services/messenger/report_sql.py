"""What a campaign's report counts, each in one pass over the ledger. $1 campaign, $2 <= entered_at < $3."""

_ENTRIES = """
    WITH e AS (
        SELECT campaign_id, entry_id, profile_id, status, reason, variants, converted_at, revenue, currency,
            orders, goals, status = 'holdout' AS held
        FROM entry WHERE campaign_id = $1 AND entered_at >= $2 AND entered_at < $3
    )
"""
# everything once without a way, and once for each way that the entry took
_WAYS = """
    CROSS JOIN LATERAL (
        SELECT NULL::text AS path, NULL::text AS way
        UNION ALL SELECT key, value FROM jsonb_each_text(e.variants)
    ) w
"""
# a failure with a provider's id was accepted first
_SENT = """(m.status IN ('accepted', 'delivered', 'bounced')
    OR m.status = 'failed' AND m.provider_message_id IS NOT NULL)"""

JOURNEYS = f"""{_ENTRIES}
    SELECT w.path, w.way, e.status, e.reason, e.currency, count(*)::int AS entries,
        count(e.converted_at)::int AS converted, sum(e.revenue) AS revenue, sum(e.orders)::int AS orders,
        sum(e.goals)::int AS goals, count(*) FILTER (WHERE e.goals > 0)::int AS begun
    FROM e {_WAYS}
    GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608
MESSAGES = f"""{_ENTRIES}
    SELECT w.path, w.way, m.step, m.channel, m.status, m.reason, count(*)::int AS messages,
        count(*) FILTER (WHERE {_SENT})::int AS sent,
        count(*) FILTER (WHERE m.status = 'delivered' OR m.delivered_at IS NOT NULL)::int AS delivered,
        count(m.opened_at)::int AS opened,
        count(*) FILTER (WHERE m.opened_at IS NULL AND m.machine_opened_at IS NOT NULL)::int AS opened_by_machine,
        count(m.clicked_at)::int AS clicked, count(m.unsubscribed_at)::int AS unsubscribed,
        count(m.complained_at)::int AS complained, coalesce(sum(m.parts), 0)::int AS parts,
        coalesce(sum(m.cost), 0) AS cost
    FROM e JOIN message m USING (campaign_id, entry_id) {_WAYS}
    GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608
# An entry that was written to by two channels counts with both.
REACHED = f"""{_ENTRIES},
    sent AS (
        SELECT m.entry_id, array_agg(DISTINCT m.channel) AS channels, array_agg(DISTINCT m.step) AS steps
        FROM e JOIN message m USING (campaign_id, entry_id) WHERE {_SENT} GROUP BY 1
    )
    SELECT x.by, x.name, e.currency, count(*)::int AS entries, count(e.converted_at)::int AS converted,
        sum(e.revenue) AS revenue, sum(e.orders)::int AS orders
    FROM e JOIN sent USING (entry_id) CROSS JOIN LATERAL (
        SELECT 'all' AS by, '' AS name
        UNION ALL SELECT 'channel', unnest(sent.channels)
        UNION ALL SELECT 'step', unnest(sent.steps)
    ) x
    GROUP BY 1, 2, 3
"""  # noqa: S608
MISSING = f"""{_ENTRIES}
    SELECT u.name, count(*)::int AS messages
    FROM e JOIN message m USING (campaign_id, entry_id) CROSS JOIN LATERAL unnest(m.missing) AS u (name)
    WHERE m.missing <> '{{}}'
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100
"""  # noqa: S608
PEOPLE = f"""{_ENTRIES}
    SELECT held, count(*)::int AS people, count(*) FILTER (WHERE hit)::int AS hits
    FROM (
        SELECT profile_id, held, bool_or(converted_at IS NOT NULL) AS hit
        FROM e WHERE status <> 'refused' GROUP BY 1, 2
    ) person
    GROUP BY 1
"""  # noqa: S608
# those without an amount are zeros, which add nothing to sums and squares
AMOUNTS = f"""{_ENTRIES}
    SELECT held, coalesce(currency, 'unknown') AS currency, sum(amount)::float8 AS total,
        sum(amount * amount)::float8 AS squares
    FROM (
        SELECT profile_id, held, currency, sum(revenue) AS amount
        FROM e WHERE status <> 'refused' AND revenue <> 0 GROUP BY 1, 2, 3
    ) person
    GROUP BY 1, 2
"""  # noqa: S608
DECISIONS = """
    SELECT k.path, md5((v.body #> string_to_array(k.place, ','))::text) AS split, s.first_at, s.due_at,
        s.decided_at, s.variant, s.stats::text AS stats
    FROM unnest($3::text[], $4::text[]) AS k (path, place)
    JOIN definition_version v ON v.kind = 'campaign' AND v.id = $1 AND v.version = $2
    LEFT JOIN split_decision s ON s.campaign_id = v.id AND s.path = k.path
        AND s.split = md5((v.body #> string_to_array(k.place, ','))::text)
"""
