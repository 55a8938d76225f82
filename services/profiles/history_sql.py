"""Whose each row of the timeline is now: rows stay where they were written, merges and unmerges say who has them.

A row belongs to the profile that the last unmerge which moved it made, else to the one it was written under; and
that stands for the profile which it has gone into.
"""

from services.profiles.past_event import PastEvent, past_event
from services.profiles.store import Connection

FAMILY = "SELECT $1::text AS id UNION ALL SELECT profile_id FROM alias WHERE root = $1::text"
OWN_ROWS = """
    SELECT {columns} FROM timeline
    WHERE timeline.profile_id = ANY({family}) AND timeline.profile_id <> ''
        AND NOT EXISTS (SELECT FROM moved WHERE (moved.q, moved.seq) = (timeline.q, timeline.seq))
"""
MOVED_ROWS = """
    SELECT {columns} FROM unmerge JOIN moved ON moved.unmerge_id = unmerge.id
        JOIN timeline ON (timeline.q, timeline.seq) = (moved.q, moved.seq)
    WHERE unmerge.into_id = ANY({family}) AND NOT EXISTS (
        SELECT FROM moved AS again JOIN unmerge AS later ON later.id = again.unmerge_id
        WHERE (again.q, again.seq) = (moved.q, moved.seq) AND later.n > unmerge.n)
"""
ROWS_OF = f"{OWN_ROWS} UNION ALL {MOVED_ROWS}"
"""The rows of the profiles in the array `{family}`: written under them and never moved, or moved to them last."""
_SAID = (
    "timeline.q, timeline.seq, timeline.time, timeline.profile_id AS written_as, timeline.ts, timeline.source, "
    "timeline.message_id, timeline.identifiers, timeline.stated, timeline.payload, timeline.kind"
)
_EVENTS = f"""
    SELECT * FROM (
        {OWN_ROWS.format(columns=f"{_SAID}, timeline.profile_id AS held_as", family="$1::text[]")}
        UNION ALL {MOVED_ROWS.format(columns=f"{_SAID}, unmerge.into_id AS held_as", family="$1::text[]")}
    ) AS history WHERE kind = 'event' ORDER BY time, q, seq
"""  # noqa: S608


async def family(connection: Connection, root: str) -> list[str]:
    """The profile, first, and everybody who went into it."""
    return [row["id"] for row in await connection.fetch(FAMILY, root)]


async def past_events(connection: Connection, profile_ids: list[str]) -> list[PastEvent]:
    """The events that are theirs now, in the fold's order."""
    return [past_event(row) for row in await connection.fetch(_EVENTS, profile_ids)]
