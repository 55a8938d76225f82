"""A customer's messages, from the rows that the messenger's outcomes became."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles.messages import messages
from services.profiles.outcomes import SOURCE
from services.profiles.reads import Document
from services.profiles.timeline_reads import history_of

_OUTCOMES = text(f"""
    SELECT ts, payload FROM ({history_of("kind", "ts", "source", "message_id", "payload")}) AS history
    WHERE source = :source AND kind = 'event'
    ORDER BY ts, message_id
""")  # noqa: S608

Place = tuple[int, str]
"""(time of the first outcome, id): the order of messages."""


async def read_messages(engine: AsyncEngine, profile_id: str, before: Place | None, limit: int) -> list[Document]:
    """The messages before `before`, newest first."""
    async with engine.connect() as connection:
        rows = await connection.execute(_OUTCOMES, {"profile_id": profile_id, "source": SOURCE})
        found = messages((row.ts, row.payload.encode()) for row in rows)
    earlier = [one for one in found if before is None or (one["at"], one["id"]) < before]
    return earlier[:limit]
