"""Who asked for what about whom: written in the transaction that does it, never changed, without personal data."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from services.profiles.merging import NOW
from services.profiles.store import Connection

Action = Literal["erase", "export", "consent", "preferences", "suppress", "unsuppress", "lift"]

_WRITE = f"INSERT INTO audit (at, actor, action, profile_id, details) VALUES (({NOW}), $1, $2, $3, $4)"  # noqa: S608
_READ = """
    SELECT n, at, actor, action, profile_id, details FROM audit
    WHERE ($1::text IS NULL OR profile_id = $1) AND ($2::bigint IS NULL OR n < $2) ORDER BY n DESC LIMIT $3
"""


async def note(
    connection: Connection, actor: str, action: Action, profile_id: str, details: Mapping[str, Any] | None = None
) -> None:
    """`details` are names of ours (a channel, a status), never a customer's values."""
    await connection.execute(_WRITE, actor, action, profile_id, msgspec.json.encode(details or {}).decode())


async def audited(
    connection: Connection, profile_id: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Newest first; of one profile or of all."""
    rows = await connection.fetch(_READ, profile_id, before, limit)
    return [{**dict(row), "details": msgspec.Raw(row["details"].encode())} for row in rows]
