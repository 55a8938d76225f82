"""The rows that tell a customer's last known device, location, page and campaign.

Read when somebody asks, so that an event costs nothing more: the latest events first, and where those leave a part
open, the latest of a bounded past that mention it.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profiles.history_sql import MOVED_ROWS
from services.profiles.last_known import PARTS, last_known
from services.profiles.timeline_reads import FAMILY

NEAR = 100
FAR = 2_000
"""How many of a profile's latest events are looked at: at each, and through for what is still open."""
_MENTIONING = 20


def _latest(limit: int) -> str:
    """Of each profile that went into the customer the latest events, without what was taken out, and what came to
    it when another was taken apart."""
    moved = MOVED_ROWS.format(columns="timeline.ts, timeline.payload", family=FAMILY)
    return f"""
        SELECT own.ts, own.payload FROM unnest({FAMILY}) AS member (id) CROSS JOIN LATERAL (
            SELECT ts, payload FROM timeline WHERE profile_id = member.id AND kind = 'event'
                AND NOT EXISTS (SELECT FROM moved WHERE (moved.q, moved.seq) = (timeline.q, timeline.seq))
            ORDER BY seq DESC LIMIT {limit}
        ) AS own
        UNION ALL ({moved} AND timeline.kind = 'event' ORDER BY timeline.ts DESC LIMIT {limit})
        ORDER BY ts DESC LIMIT {limit}
    """  # noqa: S608


_NEAR = text(_latest(NEAR))
_FAR = text(f"""
    SELECT ts, payload FROM ({_latest(FAR)}) AS latest
    WHERE strpos(payload, :mentioned) > 0 ORDER BY ts DESC LIMIT {_MENTIONING}
""")  # noqa: S608


async def read_last_known(connection: AsyncConnection, profile_id: str) -> dict[str, dict[str, Any]]:
    """By part: `{at, value}`; a part that nothing told is left out."""
    rows = [(row.ts, row.payload.encode()) for row in await connection.execute(_NEAR, {"profile_id": profile_id})]
    found = last_known(rows)
    if len(rows) < NEAR:
        return found
    for part in (one for one in PARTS if one not in found):
        given = {"profile_id": profile_id, "mentioned": f'"{part}":{{'}
        mentioning = await connection.execute(_FAR, given)
        told = last_known((row.ts, row.payload.encode()) for row in mentioning)
        if part in told:
            found[part] = told[part]
    return found
