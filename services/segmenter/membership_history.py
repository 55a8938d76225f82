"""Reads of what the follower has kept: sizes over time, members as of an instant, a customer's past."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from headrace.contracts.errors import ApiError
from headrace.contracts.instant import Millis, format_instant, parse_instant
from services.segmenter.intervals import HOUR_MS, UNKNOWN
from services.segmenter.members import Member, Members, decode_cursor, encode_cursor

DAY_MS = 24 * HOUR_MS
MAX_STEPS = 1_000

_STEPS = """
    SELECT (hour - $2) / $3 AS step, reason, sum(entered)::bigint AS entered, sum(exited)::bigint AS exited
    FROM membership_hour WHERE segment_id = $1 AND hour >= $2 GROUP BY 1, 2
"""
# whole hours are counted already; of the hour in which the 24 began, what came after that is counted here
_LAST_DAY = """
    SELECT s.id,
        coalesce((SELECT sum(entered) FROM membership_hour WHERE segment_id = s.id AND hour >= $3), 0)::bigint
        + (SELECT count(*) FROM membership_interval
           WHERE segment_id = s.id AND entered_at > $2 AND entered_at < $3) AS added,
        coalesce((SELECT sum(exited) FROM membership_hour WHERE segment_id = s.id AND hour >= $3), 0)::bigint
        + (SELECT count(*) FROM membership_interval
           WHERE segment_id = s.id AND exited_at > $2 AND exited_at < $3) AS dropped
    FROM unnest($1::text[]) AS s (id)
"""
_AT = """
    FROM membership_interval
    WHERE segment_id = $1 AND entered_at <= $2 AND (exited_at IS NULL OR exited_at > $2)
"""
_MEMBERS_AT = f"""
    SELECT number, profile_id, version, entered_at, entry_id {_AT}
        AND (entered_at, number) > ($3, $4) ORDER BY entered_at, number LIMIT $5
"""
_COUNT_AT = f"SELECT count(*) {_AT}"
_OF_CUSTOMER = """
    SELECT number, segment_id, profile_id, version, entry_id, cause_message_id,
        entered_at, entered_reason, exited_at, exited_reason
    FROM membership_interval
    WHERE (profile_id = $1 OR profile_id IN (SELECT profile_id FROM profiles.alias_v1 WHERE root = $1))
        AND (entered_at, number) < ($2, $3)
    ORDER BY entered_at DESC, number DESC LIMIT $4
"""
_END = 2**62


@dataclass(frozen=True, slots=True)
class LastDay:
    """How many entered and left a segment within the last 24 hours."""

    added: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Step:
    entered: int = 0
    exited: int = 0
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)


class MembershipHistory:
    """`clock` gives milliseconds since the epoch: nothing is said of what comes after it."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", members: Members, *, clock: Callable[[], Millis]
    ) -> None:
        self._pool = pool
        self._members = members
        self._clock = clock

    async def last_day(self, segment_ids: Sequence[str]) -> Mapping[str, LastDay]:
        """Of each of these segments, in one query."""
        since = self._clock() - DAY_MS
        rows = await self._pool.fetch(_LAST_DAY, list(segment_ids), since, since - since % HOUR_MS + HOUR_MS)
        return {row["id"]: LastDay(row["added"], row["dropped"]) for row in rows}

    async def sizes(
        self, segment_id: str, *, begin: str | None, end: str | None, step: Millis
    ) -> list[dict[str, Any]]:
        """Per step from `begin` to `end` (RFC 3339; the last 7 days), oldest first: who entered and exited, and
        the size at the step's end. Raises ApiError 400."""
        first, last = self._range(begin, end, step)
        found = [_Step() for _ in range((last - first) // step)]
        later = 0
        for row in await self._pool.fetch(_STEPS, segment_id, first, step):
            if row["step"] < len(found):
                _add(found[row["step"]], row)
            else:
                later += row["entered"] - row["exited"]
        # back from the live size, which holds whatever was before the first change that was followed
        size = (await self._members.sizes([segment_id]))[segment_id] - later
        items = []
        for number, counted in reversed(list(enumerate(found))):
            items.append(_shown_step(first + number * step, size, counted))
            size -= counted.entered - counted.exited
        return items[::-1]

    async def count_at(self, segment_id: str, at: Millis) -> int:
        """How many members the segment had at this instant."""
        return int(await self._pool.fetchval(_COUNT_AT, segment_id, at))

    async def members_at(
        self, segment_id: str, at: Millis, cursor: str | None, limit: int
    ) -> tuple[list[Member], str | None]:
        """Who was a member at this instant, longest first, and the cursor of the next page. `entered_at` is 0
        where it is not known."""
        number, entered_at = _decoded(cursor, 0, -1)
        rows = await self._pool.fetch(_MEMBERS_AT, segment_id, at, entered_at, number, limit)
        found = [Member(row["profile_id"], row["version"], row["entered_at"], row["entry_id"]) for row in rows]
        last = rows[-1] if len(rows) == limit else None
        return found, None if last is None else encode_cursor(last["number"], str(last["entered_at"]))

    async def of_customer(
        self, profile_id: str, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The intervals of a customer and of everybody merged into it, newest first."""
        number, entered_at = _decoded(cursor, _END, _END)
        rows = await self._pool.fetch(_OF_CUSTOMER, profile_id, entered_at, number, limit)
        last = rows[-1] if len(rows) == limit else None
        following = None if last is None else encode_cursor(last["number"], str(last["entered_at"]))
        return [_shown_interval(row) for row in rows], following

    def past(self, at: str) -> Millis:
        """The instant that a request names. Raises ApiError 400 for none, or one to come."""
        instant = _instant(at, "at")
        if instant > self._clock():
            raise ApiError(
                400, "invalid_instant", "`at` is in the future; leave it out for the members there are now."
            )
        return instant

    def _range(self, begin: str | None, end: str | None, step: Millis) -> tuple[Millis, Millis]:
        """The first step's beginning and the last one's end."""
        now = self._clock()
        to = now if end is None else min(_instant(end, "to"), now)
        since = to - 7 * DAY_MS if begin is None else _instant(begin, "from")
        if since >= to:
            raise ApiError(400, "invalid_range", "`from` must lie before `to`, and before now.")
        first, last = since - since % step, -(-to // step) * step
        if (last - first) // step > MAX_STEPS:
            raise ApiError(
                400, "range_too_long", f"At most {MAX_STEPS} steps; shorten the range or take step=day."
            )
        return first, last


def _instant(text: str, name: str) -> Millis:
    try:
        return parse_instant(text.replace(" ", "+"))  # a + that was not escaped
    except ValueError as error:
        raise ApiError(
            400, "invalid_instant", f"`{name}` is no instant; write it as 2026-01-31T12:00:00Z."
        ) from error


def _decoded(cursor: str | None, number: int, entered_at: Millis) -> tuple[int, Millis]:
    """The place that a cursor names, or the one given where there is none. Raises ApiError 400."""
    if cursor is None:
        return number, entered_at
    number, text = decode_cursor(cursor)
    try:
        return number, int(text)
    except ValueError as error:
        raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.") from error


def _add(step: _Step, row: asyncpg.Record) -> None:
    step.entered += row["entered"]
    step.exited += row["exited"]
    step.reasons[row["reason"]] = {"entered": row["entered"], "exited": row["exited"]}


def _shown_step(at: Millis, size: int, counted: _Step) -> dict[str, Any]:
    return {
        "at": format_instant(at),
        "size": max(0, size),
        "entered": counted.entered,
        "exited": counted.exited,
        "reasons": dict(sorted(counted.reasons.items())),
    }


def _shown_interval(row: asyncpg.Record) -> dict[str, Any]:
    entered_at, exited_at = row["entered_at"], row["exited_at"]
    return {
        "segment_id": row["segment_id"],
        "profile_id": row["profile_id"],
        "version": row["version"],
        "entry_id": row["entry_id"],
        "cause_message_id": row["cause_message_id"],
        "entered_at": None if entered_at == UNKNOWN else format_instant(entered_at),
        "entered_reason": row["entered_reason"],
        "exited_at": None if exited_at is None else format_instant(exited_at),
        "exited_reason": row["exited_reason"],
    }
