"""Goals reached and journeys ended by what customers do. Each event counts once per entry, however often it
comes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from headrace.contracts.campaign import CampaignDefinition, ExitEvent
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import EventRow
from services.messenger.customers import roots_of
from services.messenger.definitions import Definitions
from services.messenger.endings import Key, end
from services.messenger.entering import event_of, value_at
from services.messenger.goal_value import order_value
from services.messenger.outbox import NewOutcome
from services.messenger.store import Connection


@dataclass(frozen=True, slots=True)
class Deed:
    """What a customer did at an instant; `root` is who that is now."""

    root: str
    source: str
    message_id: str
    event: str
    ts: Millis
    facts: Mapping[str, Any]


def deeds_of(rows: Iterable[EventRow], roots: Mapping[str, str]) -> list[Deed]:
    return [
        Deed(roots[row.profile_id], row.source, row.message_id, row.event, row.ts, event_of(row))
        for row in rows
        if row.event is not None
    ]


async def done(
    connection: Connection, definitions: Definitions, rows: Sequence[EventRow], now: Millis
) -> list[NewOutcome]:
    """Count these events for the goals and exits of the customers' journeys. Returns the outcomes of messages that
    are not sent any more."""
    if not rows:
        return []
    roots = await roots_of(connection, (row.profile_id for row in rows))
    deeds = deeds_of(rows, roots)
    entries = await connection.fetch(_OPEN, sorted(set(roots.values())))
    return await _count(connection, definitions, deeds, entries, now)


async def look_back(
    connection: Connection, definitions: Definitions, keys: Sequence[Key], now: Millis
) -> list[NewOutcome]:
    """Count what these new entries' customers have done since they entered: the event may have been read before
    the entry was."""
    if not keys:
        return []
    entries = await connection.fetch(_THESE, [key[0] for key in keys], [key[1] for key in keys])
    if not entries:
        return []
    roots = sorted({row["root"] for row in entries})
    names = sorted({name for row in entries for name in row["events"]})
    rows = await connection.fetch(_SINCE, roots, min(row["entered_at"] for row in entries), names)
    deeds = [deed for row in rows if (deed := _past(row)) is not None]
    return await _count(connection, definitions, deeds, entries, now)


async def _count(
    connection: Connection,
    definitions: Definitions,
    deeds: Sequence[Deed],
    entries: Sequence[Any],
    now: Millis,
) -> list[NewOutcome]:
    versions = await definitions.campaign_versions(
        connection, ((row["campaign_id"], row["campaign_version"]) for row in entries)
    )
    reached: list[Key] = []
    left: list[Key] = []
    for row in entries:
        campaign = versions[row["campaign_id"], row["campaign_version"]]
        own = [deed for deed in deeds if deed.root == row["root"] and _concerns(deed, row, campaign)]
        if await _towards_goal(connection, row, campaign, own, now):
            reached.append((row["campaign_id"], row["entry_id"]))
        elif isinstance(campaign.exit_when, ExitEvent) and any(d.event == campaign.exit_when.event for d in own):
            left.append((row["campaign_id"], row["entry_id"]))
    return [
        *await end(connection, reached, "converted", "goal_reached", now),
        *await end(connection, left, "exited", "exit_event", now),
    ]


def _concerns(deed: Deed, row: Any, campaign: CampaignDefinition) -> bool:
    """After the entry, and about the same key. The event that began the journey is not one of them."""
    if deed.ts < row["entered_at"] or (row["cause"] is not None and deed.message_id == row["cause"]):
        return False
    by = campaign.by
    return by is None or row["key"] is None or value_at(deed.facts, by) == row["key"]


async def _towards_goal(
    connection: Connection, row: Any, campaign: CampaignDefinition, deeds: Sequence[Deed], now: Millis
) -> bool:
    """Add what counts. True when the goal is reached by it."""
    goal = campaign.goal
    if goal is None or row["goal_until"] is None or row["converted_at"] is not None:
        return False
    seen = set(row["goal_messages"])
    counted = [
        deed
        for deed in sorted(deeds, key=lambda deed: (deed.ts, deed.message_id))
        if deed.event == goal.event and deed.ts <= row["goal_until"] and _mark(deed) not in seen
    ][: goal.target - row["goals"]]
    if not counted:
        return False
    worth = [order_value(deed.facts["properties"], goal.value) for deed in counted]
    revenue = sum((value for value, _ in worth if value is not None), Decimal(0))
    currency = next((currency for _, currency in worth if currency is not None), None)
    is_reached = int(row["goals"]) + len(counted) >= goal.target
    await connection.execute(
        _ADD,
        *(row["campaign_id"], row["entry_id"], len(counted), [_mark(deed) for deed in counted], revenue),
        *(currency, counted[-1].ts if is_reached else None),
    )
    return is_reached


def _mark(deed: Deed) -> str:
    return f"{deed.source} {deed.message_id}"


class _Past(msgspec.Struct):
    source: str
    message_id: str
    ts: int
    event: str | None = None
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}


_past_decoder = msgspec.json.Decoder(_Past)


def _past(row: Any) -> Deed | None:
    try:
        event = _past_decoder.decode(row["payload"])
    except (msgspec.DecodeError, RecursionError):
        return None  # redacted since
    facts = {"event": event.event, "properties": event.properties, "context": event.context}
    return Deed(row["root"], event.source, event.message_id, event.event or "", event.ts, facts)


_COLUMNS = """e.campaign_id, e.entry_id, e.campaign_version, e.entered_at, e.key, e.event ->> 'message_id' AS
cause,
    e.goal_until, e.goals, e.goal_messages, e.converted_at, coalesce(a.root, e.profile_id) AS root"""
# journeys with a goal that may still be reached, and those under way, which an event may end
_OPEN = f"""
    SELECT {_COLUMNS} FROM entry e LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE e.profile_id = ANY(ARRAY(
            SELECT unnest($1::text[])
            UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($1::text[])))
        AND (e.status = 'active' OR e.goal_until IS NOT NULL AND e.converted_at IS NULL)
    ORDER BY e.campaign_id, e.entry_id FOR UPDATE OF e
"""  # noqa: S608
_THESE = f"""
    SELECT {_COLUMNS}, d.events FROM entry e LEFT JOIN profiles.alias_v1 a USING (profile_id)
    JOIN unnest($1::text[], $2::text[]) AS k (campaign_id, entry_id) USING (campaign_id, entry_id)
    JOIN definition d ON d.kind = 'campaign' AND d.id = e.campaign_id
    WHERE (e.status = 'active' OR e.goal_until IS NOT NULL) AND d.events <> '{{}}'
    ORDER BY e.campaign_id, e.entry_id
"""  # noqa: S608
_SINCE = """
    SELECT coalesce(a.root, t.profile_id) AS root, t.payload
    FROM profiles.timeline_v1 t LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE t.profile_id = ANY(ARRAY(
            SELECT unnest($1::text[])
            UNION ALL SELECT profile_id FROM profiles.alias_v1 WHERE root = ANY($1::text[])))
        AND t.kind = 'event' AND t.time >= $2 AND t.payload::json ->> 'event' = ANY($3::text[])
"""
_ADD = """
    UPDATE entry SET goals = goals + $3, goal_messages = goal_messages || $4::text[],
        orders = orders + $3, revenue = coalesce(revenue, 0) + $5, currency = coalesce(currency, $6),
        converted_at = $7, goal_until = CASE WHEN $7::bigint IS NULL THEN goal_until ELSE NULL END
    WHERE campaign_id = $1 AND entry_id = $2
"""
