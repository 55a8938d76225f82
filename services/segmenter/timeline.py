"""Reads of `profiles.timeline_v1`, on the primary: always ahead of the log."""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    WHERE profile_id = '' AND kind = 'control' AND partition = $1 ORDER BY seq
"""  # noqa: S608
# from the last one that is known on: whether it is still there says whether those before it are
_NEW_CONTROLS = f"""
    SELECT {_COLUMNS} FROM profiles.timeline_v1
    LEFT JOIN unnest($1::int[], $2::bigint[]) AS known (partition, last) USING (partition)
    WHERE profile_id = '' AND kind = 'control' AND seq >= coalesce(known.last, 0) ORDER BY partition, seq
"""  # noqa: S608
_ROWS = f"""
    SELECT {_COLUMNS} FROM profiles.timeline_v1 WHERE partition = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""  # noqa: S608
_REDACTED = "SELECT seq, counted_seq, transitions, computed FROM profiles.redacted_v1 WHERE partition = $1"
_EPOCHS = """
    SELECT epoch, min(seq) AS first, max(seq) AS last FROM profiles.timeline_v1 WHERE partition = $1 GROUP BY epoch
"""

Controls = Mapping[int, Sequence[ControlRow]]


class PostgresTimeline:
    """Keeps `commit.Timeline`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._scripts = Scripts()
        self._controls: Controls = {}

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

    async def epochs(self, partition: int) -> dict[int, tuple[int, int]]:
        return {row["epoch"]: (row["first"], row["last"]) for row in await self._pool.fetch(_EPOCHS, partition)}

    async def redacted(self, partition: int) -> Redacted:
        row = await self._pool.fetchrow(_REDACTED, partition)
        return Redacted() if row is None else Redacted(*row)

    async def _all_controls(self) -> Controls:
        """Each partition's control rows. They only ever come behind those that are known, unless the database was
        restored: then the last one known is no longer there, or in its place another one of a later epoch."""
        known = self._controls
        news = await self._controls_from(known)
        lost = [q for q, rows in known.items() if q not in news or news[q][0] != rows[-1]]
        if lost:
            log.warning("controls_read_again", partitions=lost)
            known, news = {}, await self._controls_from({})
        grown = {q: [*known.get(q, [])[:-1], *rows] for q, rows in news.items() if len(rows) > 1 or q not in known}
        if grown or known is not self._controls:
            self._controls = {**known, **grown}
        return self._controls

    async def _controls_from(self, known: Controls) -> dict[int, list[ControlRow]]:
        """By partition, the last control row that is known and those behind it."""
        last = [rows[-1].seq for rows in known.values()]
        found: dict[int, list[ControlRow]] = {}
        for stored in _decoded(await self._pool.fetch(_NEW_CONTROLS, list(known), last)):
            if isinstance(stored.row, ControlRow):
                found.setdefault(stored.partition, []).append(stored.row)
        return found


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
