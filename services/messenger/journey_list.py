"""A campaign's journeys one by one: where each customer stands in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headrace.contracts.instant import Millis, format_instant
from services.messenger.store import Pool

STATUSES = ("active", "done", "exited", "converted", "holdout", "refused", "cancelled")
_INSTANTS = ("entered_at", "due_at", "ended_at", "converted_at")


class JourneyList:
    """Nothing personal is in a journey but whose it is."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, campaign_id: str, status: str | None, after: tuple[Millis, str] | None, limit: int
    ) -> tuple[Sequence[Mapping[str, Any]], tuple[Millis, str] | None]:
        """Journeys that entered last first, after (entered_at, id); and after which one the next page begins."""
        rows = await self._pool.fetch(_PAGE, campaign_id, status, *(after or (None, None)), limit)
        following = (rows[-1]["entered_at"], rows[-1]["id"]) if len(rows) == limit else None
        return [_shown(dict(row)) for row in rows], following


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: None if row[name] is None else format_instant(row[name]) for name in _INSTANTS}
    return {**row, **instants, "variants": msgspec.json.decode(row["variants"])}


_PAGE = """
    SELECT e.entry_id AS id, coalesce(a.root, e.profile_id) AS profile_id, e.campaign_version, e.trigger, e.status,
        e.reason, e.step, e.due_at, e.variants::text AS variants, e.entered_at, e.ended_at, e.converted_at
    FROM entry e LEFT JOIN profiles.alias_v1 a USING (profile_id)
    WHERE e.campaign_id = $1 AND ($2::text IS NULL OR e.status = $2)
        AND ($3::bigint IS NULL OR (e.entered_at, e.entry_id) < ($3, $4::text))
    ORDER BY e.entered_at DESC, e.entry_id DESC LIMIT $5
"""
