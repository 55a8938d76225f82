"""A customer's sessions: runs of events of any type, each at most 30 minutes after the one before (ADR 13)."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from headrace.contracts.instant import MAX_INSTANT, Millis
from services.profiles.last_known import read_context
from services.profiles.reads import Document
from services.profiles.timeline_reads import TYPED, history_of

GAP: Millis = 30 * 60 * 1000

_SESSIONS = text(f"""
    WITH viewed AS (
        SELECT q, seq, ts, source, message_id, event IN ('Page Viewed', 'Screen Viewed')
            OR (event IS NULL AND payload ~ :page) AS page
        FROM ({history_of("q", "seq", "kind", "event", "ts", "source", "message_id", "payload")}) AS history
        WHERE kind = 'event'
    ),
    ordered AS (
        SELECT *, row_number() OVER w AS n, ts - lag(ts) OVER w AS pause FROM viewed
        WINDOW w AS (ORDER BY ts, source, message_id)
    ),
    numbered AS (
        SELECT *, count(*) FILTER (WHERE pause IS NULL OR pause > {GAP}) OVER (ORDER BY n) AS session FROM ordered
    ),
    found AS (
        SELECT min(ts) AS began, max(ts) AS ended, count(*) AS events, count(*) FILTER (WHERE page) AS pages,
            coalesce(min(n) FILTER (WHERE page), min(n)) AS landing
        FROM numbered GROUP BY session HAVING min(ts) < :before ORDER BY began DESC LIMIT :limit
    )
    SELECT found.*, timeline.payload FROM found
    JOIN ordered ON ordered.n = found.landing JOIN timeline USING (q, seq) ORDER BY found.began DESC
""")  # noqa: S608


async def sessions(engine: AsyncEngine, profile_id: str, before: Millis | None, limit: int) -> list[Document]:
    """The sessions that began before `before`, newest first. Instants in milliseconds."""
    given = {
        "profile_id": profile_id,
        "page": TYPED % "page|screen",
        "before": MAX_INSTANT if before is None else before,
        "limit": limit,
    }
    async with engine.connect() as connection:
        return [_shown(row) for row in await connection.execute(_SESSIONS, given)]


def _shown(row: Any) -> Document:
    context = read_context(row.payload.encode())
    return {
        "began_at": row.began,
        "ended_at": row.ended,
        "length_seconds": (row.ended - row.began) / 1000,
        "events": row.events,
        "pages": row.pages,
        "landing_page": context.get("page"),
        "campaign": context.get("campaign"),
    }
