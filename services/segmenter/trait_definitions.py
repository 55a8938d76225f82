"""Computed traits in Postgres, among the definitions of segments: versions, control records, how far they are."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from headrace.contracts.errors import ApiError
from headrace.contracts.trait import SLOT, TraitDefinition
from services.segmenter.definitions import known_version, request, store_version
from services.segmenter.references import LOCK, asking_for_trait

_json = msgspec.json.Encoder(order="deterministic")
_SELECT = """
    SELECT substr(s.id, length('trait:') + 1) AS id, s.version, v.name, v.definition, v.created_at,
        (SELECT coalesce(sum(CASE WHEN p.ready THEN 1 ELSE p.done::float / greatest(p.total, 1) END), 0)
         FROM progress p WHERE p.id = s.id AND p.version = s.version) AS ready,
        (SELECT count(*) FROM progress p WHERE p.id = s.id AND p.version = s.version AND p.live) AS live
    FROM segment s JOIN segment_version v ON v.id = s.id AND v.version = s.version
    WHERE s.state <> 'deleted' AND v.kind = 'trait'
"""


class TraitDefinitions:
    """All of a computed trait's life but its values."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", partitions: int) -> None:
        self._pool = pool
        self._partitions = partitions

    async def put(self, definition: TraitDefinition) -> int:
        """Store a definition as a new version, with its control record; return the version. An unchanged
        definition keeps its version."""
        text = _json.encode(definition.canonical()).decode()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            known = await known_version(connection, definition.slot)
            if known is not None and known["definition"] == text and known["state"] != "deleted":
                return int(known["version"])
            version = 1 if known is None else int(known["version"]) + 1
            await store_version(connection, definition.slot, definition, version, text)
        return version

    async def delete(self, trait_id: str) -> int:
        """Return the version that is gone. Raises ApiError 404, and 409 while segments ask for it."""
        slot = _slot(trait_id)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK)
            known = await known_version(connection, slot)
            if known is None or known["state"] == "deleted":
                raise unknown_trait(trait_id)
            if users := await asking_for_trait(connection, self._partitions, trait_id):
                names = ", ".join(users)
                message = f"Segments ask for computed.{trait_id}: {names}. Change or delete those first."
                raise ApiError(409, "trait_in_use", message)
            await connection.execute("UPDATE segment_version SET gone = true WHERE id = $1", slot)
            await connection.execute(
                "UPDATE segment SET state = 'deleted', updated_at = now() WHERE id = $1", slot
            )
            await request(connection, "delete", slot, known["version"])
            return int(known["version"])

    async def get(self, trait_id: str) -> dict[str, Any]:
        """With its definition. Raises ApiError 404."""
        row = await self._pool.fetchrow(f"{_SELECT} AND s.id = $1", _slot(trait_id))
        if row is None:
            raise unknown_trait(trait_id)
        return {**self._shown(row), "definition": msgspec.json.decode(row["definition"])}

    async def page(self, after: str, limit: int) -> Sequence[dict[str, Any]]:
        """By id, those behind `after`."""
        if "\0" in after:
            raise ApiError(400, "invalid_cursor", "Send `next` of the page before, unchanged.")
        rows = await self._pool.fetch(f"{_SELECT} AND s.id > $1 ORDER BY s.id LIMIT $2", SLOT + after, limit)
        return [self._shown(row) for row in rows]

    def _shown(self, row: asyncpg.Record) -> dict[str, Any]:
        return {
            "id": row["id"],
            "kind": "trait",
            "name": row["name"],
            "version": row["version"],
            "status": "live" if row["live"] >= self._partitions else "backfilling",
            "progress": row["ready"] / self._partitions,
            "updated_at": row["created_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }


def unknown_trait(trait_id: str) -> ApiError:
    return ApiError(404, "unknown_trait", f"There is no computed trait {trait_id!r}; see GET /v1/traits.")


def _slot(trait_id: str) -> str:
    """Raises ApiError 404 for what is no text of Postgres."""
    if "\0" in trait_id:
        raise unknown_trait(trait_id)
    return SLOT + trait_id
