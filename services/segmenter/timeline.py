"""Reads of `profiles.timeline_v1`, on the primary: always ahead of the log."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import asyncpg
import msgspec
import structlog

from headrace.contracts.profile_event import (
    ControlRow,
    MergeRow,
    ProfileRow,
    SplitRow,
    Tick,
    UnmergeRow,
    encode_row,
)
from services.segmenter.commit import Redacted
from services.segmenter.history import History, Scripts, StoredRow
from services.segmenter.paths import NAMED_BY_TYPE, decode_row

log = structlog.get_logger()

_COLUMNS = "partition, seq, epoch, time, low, payload"
_OF_PROFILES = f"""
    SELECT {_COLUMNS} FROM profiles.timeline_v1
    WHERE profile_id = ANY($1) AND kind <> 'control'
      AND ($2::text[] IS NULL OR kind <> 'event' OR event = ANY($2) OR payload LIKE ANY($3))
    ORDER BY profile_id, partition, seq
"""  # noqa: S608
_MOVED = f"""
    SELECT moved.unmerge_id, {_COLUMNS}
    FROM profiles.moved_v1 AS moved JOIN profiles.timeline_v1 USING (partition, seq)
    WHERE moved.unmerge_id = ANY($1)
      AND ($2::text[] IS NULL OR event = ANY($2) OR payload LIKE ANY($3))
"""  # noqa: S608
_CONTROLS = f"""
    SELECT {_COLUMNS} FROM profiles.timeline_v1
    WHERE profile_id = '' AND kind = 'control' AND ($1::int IS NULL OR partition = $1) ORDER BY partition, seq
"""  # noqa: S608
_ROWS = f"""
    SELECT {_COLUMNS} FROM profiles.timeline_v1 WHERE partition = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""  # noqa: S608
_REDACTED = "SELECT seq, counted_seq, transitions, computed FROM profiles.redacted_v1 WHERE partition = $1"
_EPOCHS = "SELECT epoch, min(seq) AS first FROM profiles.timeline_v1 WHERE partition = $1 GROUP BY epoch"


class PostgresTimeline:
    """Keeps `commit.Timeline`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._scripts = Scripts()

    async def history(
        self, profile_ids: Sequence[str], *, replayed: bool = False, names: Collection[str] | None = None
    ) -> History:
        listed = None if names is None else sorted(names)
        unnamed = [
            f'%"type":"{kind}"%' for kind, name in NAMED_BY_TYPE.items() if names is not None and name in names
        ]
        rows: dict[str, list[StoredRow]] = {}
        wanted: set[str] = set(profile_ids)
        known: set[str] = set()
        unmerges: set[str] = set()
        while wanted:
            found = _decoded(await self._pool.fetch(_OF_PROFILES, sorted(wanted), listed, unnamed))
            known |= wanted
            wanted = set()
            for stored in found:
                if isinstance(stored.row, ControlRow):
                    continue
                rows.setdefault(stored.row.profile_id, []).append(stored)
                if isinstance(stored.row, MergeRow) and stored.row.loser not in known:
                    wanted.add(stored.row.loser)
                elif isinstance(stored.row, UnmergeRow | SplitRow):
                    unmerges.add(stored.row.id)
        moved: dict[str, list[StoredRow]] = {}
        if unmerges:
            for unmerge, *row in await self._pool.fetch(_MOVED, sorted(unmerges), listed, unnamed):
                moved.setdefault(unmerge, []).extend(_decoded([row]))
        return History(rows, await self._all_controls() if replayed else {}, self._scripts, moved)

    async def controls(self, partition: int) -> list[ControlRow]:
        found = _decoded(await self._pool.fetch(_CONTROLS, partition))
        return [stored.row for stored in found if isinstance(stored.row, ControlRow)]

    async def rows(self, partition: int, after: int, limit: int) -> Sequence[ProfileRow]:
        return [stored.row for stored in _decoded(await self._pool.fetch(_ROWS, partition, after, limit))]

    async def epochs(self, partition: int) -> dict[int, int]:
        return {row["epoch"]: row["first"] for row in await self._pool.fetch(_EPOCHS, partition)}

    async def redacted(self, partition: int) -> Redacted:
        row = await self._pool.fetchrow(_REDACTED, partition)
        return Redacted() if row is None else Redacted(*row)

    async def _all_controls(self) -> dict[int, list[ControlRow]]:
        controls: dict[int, list[ControlRow]] = {}
        for stored in _decoded(await self._pool.fetch(_CONTROLS, None)):
            if isinstance(stored.row, ControlRow):
                controls.setdefault(stored.partition, []).append(stored.row)
        return controls


def _decoded(found: Iterable[Iterable[Any]]) -> list[StoredRow]:
    """The rows with the values that were published. A row that cannot be read is left out and said."""
    rows = []
    for partition, seq, epoch, time, low, payload in found:
        try:
            row = decode_row(encode_row(seq=seq, epoch=epoch, time=time, low=low, payload=payload.encode()))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            log.error("row_unreadable", partition=partition, seq=seq)
            continue
        if not isinstance(row, Tick):
            rows.append(StoredRow(partition, row))
    return rows
