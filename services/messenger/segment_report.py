"""How those who are in a segment now stay and buy: retention by the month of entry, and lifetime value.

Members are asked of the segmenter, what they did is read from the profile service's timeline. What we ourselves
wrote on it (messages and what became of them) is no sign of life.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from headrace.contracts.instant import Millis, format_instant
from services.messenger.lifetime import ORDER_EVENTS, Activity, Bought, OrderEvent, bought, cohorts, lifetime_value
from services.messenger.segmenter import AudienceMember
from services.messenger.store import Pool

MOST_MEMBERS = 50_000
_CHUNK = 1_000
_OUR_SOURCE = "headrace.messenger"


class Audience(Protocol):
    async def audience(self, segment_id: str, cursor: str | None) -> tuple[Sequence[AudienceMember], str | None]:
        """A page of members in the order of their ids, and the cursor of the next one. Raises
        SegmenterUnavailable, UnknownSegment."""
        ...


@dataclass(frozen=True, slots=True)
class _Life:
    activity: Activity
    bought: Bought


class SegmentReports:
    """One report at a time: each reads a great deal."""

    def __init__(self, pool: Pool, segmenter: Audience, *, clock: Callable[[], Millis]) -> None:
        self._pool = pool
        self._segmenter = segmenter
        self._clock = clock
        self._one = asyncio.Lock()

    async def report(self, segment_id: str, months: int, most: int = MOST_MEMBERS) -> dict[str, Any]:
        """Of `most` members: ids are random, so that the first of them are a fair sample. Raises
        SegmenterUnavailable, UnknownSegment."""
        async with self._one:
            now = self._clock()
            members, is_sample = await self._members(segment_id, most)
            lives = [
                life
                for at in range(0, len(members), _CHUNK)
                for life in await self._lives(members[at : at + _CHUNK])
            ]
        activities = [life.activity for life in lives]
        return {
            "segment_id": segment_id,
            "at": format_instant(now),
            "members": len(lives),
            "is_sample": is_sample,
            "entered_unknown": sum(one.entered_at is None for one in activities),
            "cohorts": cohorts(activities, now, months),
            "lifetime_value": lifetime_value([life.bought for life in lives]),
        }

    async def _members(self, segment_id: str, most: int) -> tuple[list[AudienceMember], bool]:
        """Up to `most` members, and whether there are more."""
        found: list[AudienceMember] = []
        cursor: str | None = None
        while len(found) <= most:
            page, cursor = await self._segmenter.audience(segment_id, cursor)
            found += page
            if cursor is None:
                break
        return found[:most], len(found) > most or cursor is not None

    async def _lives(self, members: Sequence[AudienceMember]) -> list[_Life]:
        ids = [member.profile_id for member in members]
        entered = [member.entered_at for member in members]
        async with self._pool.acquire() as connection:
            seen = {row["id"]: row["months"] for row in await connection.fetch(_MONTHS, ids, entered, _OUR_SOURCE)}
            rows = await connection.fetch(_ORDERS, ids, entered, list(ORDER_EVENTS))
        orders: dict[str, list[OrderEvent]] = defaultdict(list)
        for row in rows:
            orders[row["id"]].append(OrderEvent(row["event_id"], row["event"], _properties(row["payload"])))
        return [
            _Life(
                Activity(one.entered_at, frozenset(seen.get(one.profile_id, ()))), bought(orders[one.profile_id])
            )
            for one in members
        ]


class _Payload(msgspec.Struct):
    properties: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Payload)


def _properties(payload: str) -> Mapping[str, Any]:
    try:
        return _decoder.decode(payload).properties
    except msgspec.DecodeError:
        return {}  # redacted since


# Rows keep the id that they came under: everybody who was merged into the member counts.
_FAMILY = """
    WITH member AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS u (id, entered_at)),
    family AS (
        SELECT member.*, id AS profile_id FROM member
        UNION ALL SELECT member.*, a.profile_id FROM member JOIN profiles.alias_v1 a ON a.root = member.id
    )
"""
# what made the member enter is not a sign of having stayed
_MONTHS = f"""{_FAMILY}
    SELECT f.id, array_agg(DISTINCT m.month) AS months
    FROM family f JOIN profiles.timeline_v1 t USING (profile_id)
    CROSS JOIN LATERAL (SELECT to_timestamp(t.ts / 1000.0) AT TIME ZONE 'UTC' AS at) moment
    CROSS JOIN LATERAL (
        SELECT (extract(year FROM moment.at) * 12 + extract(month FROM moment.at) - 1)::int AS month) m
    WHERE t.kind = 'event' AND t.ts > f.entered_at AND t.source <> $3
    GROUP BY 1
"""  # noqa: S608
_ORDERS = f"""{_FAMILY}
    SELECT f.id, t.event, t.source || ' ' || t.message_id AS event_id, t.payload
    FROM family f JOIN profiles.timeline_v1 t USING (profile_id)
    WHERE t.kind = 'event' AND t.event = ANY($3::text[])
    ORDER BY t.ts, t.partition, t.seq
"""  # noqa: S608
