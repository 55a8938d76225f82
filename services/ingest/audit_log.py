"""Reading the audit log, the newest first."""

import asyncpg
import msgspec

_READ = (
    "SELECT seq, at, act, actor_id, actor_name, address, service, method, route, target::text AS target, "
    "request_id, status, duration_ms FROM access.audit "
    "WHERE ($1::bigint IS NULL OR seq < $1) AND ($2::text IS NULL OR actor_id = $2 OR actor_name = $2) "
    "AND ($3::text IS NULL OR route = $3) "
    "AND ($4::bigint IS NULL OR at >= to_timestamp($4 / 1000.0)) ORDER BY seq DESC LIMIT $5"
)


class AuditLog:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def newest(
        self, before: int | None, limit: int, *, actor: str | None, route: str | None, since: int | None
    ) -> list[dict[str, object]]:
        """Rows below the number `before`. `actor`: a token's id or name. `since` in milliseconds."""
        rows = await self._pool.fetch(_READ, before, actor, route, since, limit)
        return [{**dict(row), "target": msgspec.json.decode(row["target"])} for row in rows]
