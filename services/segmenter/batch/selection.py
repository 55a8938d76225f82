"""Customers from `profiles.timeline_v1`, with no more of their rows than a condition needs."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import asyncpg
import msgspec
import structlog

from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import (
    ErasureRow,
    EventRow,
    MergeRow,
    ProfileRow,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
    encode_row,
)
from headrace.contracts.segment_conditions import Condition
from services.segmenter.batch.customer import OwnRow, Subject, subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.batch.needs import Needs
from services.segmenter.paths import decode_row

log = structlog.get_logger()

CHUNK = 200
_GONE = "'tombstone', 'erasure'"
_EVERYBODY = f"""
    SELECT profile_id FROM profiles.timeline_v1 WHERE partition = $1 AND seq <= $2 AND profile_id <> ''
    GROUP BY profile_id
    HAVING max(seq) > coalesce(max(seq) FILTER (WHERE kind IN ({_GONE})), 0)
    ORDER BY profile_id
"""  # noqa: S608
# a statement of its own: a plan that suits both reads the whole partition for a few
_AMONG = _EVERYBODY.replace("profile_id <> ''", "profile_id = ANY($3)")
_ROWS = """
    SELECT partition, seq, epoch, time, low, payload FROM profiles.timeline_v1
    WHERE profile_id = ANY($1) AND kind <> 'control'
      AND (kind <> 'event' OR event = ANY($2) OR payload LIKE ANY($3))
    ORDER BY profile_id, seq
"""
_MOVED = """
    SELECT moved.unmerge_id, partition, seq, epoch, time, low, payload
    FROM profiles.moved_v1 AS moved JOIN profiles.timeline_v1 USING (partition, seq)
    WHERE moved.unmerge_id = ANY($1) AND (event = ANY($2) OR payload LIKE ANY($3))
"""
_PATTERNS = {
    # written by the profile service, which escapes no letter; the column of a page's name may hold anything
    "Page Viewed": '%"type":"page"%',
    "Screen Viewed": '%"type":"screen"%',
    "traits": '%"traits":%',
    "consents": '%"consents":%',
    "tags": '%"tags":%',
    # written by senders
    "timezone": '%"timezone"%',
    "location": '%"location"%',
    "everything": "%",
}
_UNNAMED = frozenset({"Page Viewed", "Screen Viewed"})
_ESCAPED = r"%\\u00%"  # a letter of a sender's key may hide behind its number
Rows = dict[str, list[ProfileRow]]


async def evaluate_all(
    pool: "asyncpg.Pool[asyncpg.Record]",
    evaluator: Evaluator,
    asked: str | Condition,
    positions: Mapping[int, tuple[int, Millis]],
    *,
    profile_ids: Collection[str] | None = None,
    chunk: int = CHUNK,
) -> AsyncGenerator[tuple[str, bool]]:
    """Every customer (or of these) of every partition in `positions` with the answer at its (seq, now): the last
    row that counts, and the instant. Ordered by partition and profile id.

    Holds a connection until it ends: whoever stops earlier closes it (`contextlib.aclosing`). The evaluator works
    in a thread beside the event loop, `chunk` customers at a time; paused segments are asked about there.
    """
    needs = evaluator.needs(asked)
    for partition, (seq, now) in sorted(positions.items()):
        selected = subjects(pool, needs, partition, seq, profile_ids=profile_ids, chunk=chunk)
        async with aclosing(selected):
            async for some in selected:
                for answer in await asyncio.to_thread(list, evaluator.members(asked, some, now)):
                    yield answer


async def subjects(
    pool: "asyncpg.Pool[asyncpg.Record]",
    needs: Needs,
    partition: int,
    seq: int,
    *,
    profile_ids: Collection[str] | None = None,
    chunk: int = CHUNK,
) -> AsyncGenerator[list[Subject]]:
    """The partition's customers after its row `seq`, ordered by profile id, `chunk` at a time. Who is merged away
    or erased by then is none."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        if profile_ids is None:
            cursor = await connection.cursor(_EVERYBODY, partition, seq)
        else:
            cursor = await connection.cursor(_AMONG, partition, seq, sorted(profile_ids))
        while found := await cursor.fetch(chunk):
            ids = [record["profile_id"] for record in found]
            rows, moved = await _rows(connection, needs, ids)
            yield [subject(profile_id, rows, seq, moved) for profile_id in ids]


async def _rows(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", needs: Needs, profile_ids: Iterable[str]
) -> tuple[Rows, dict[str, list[EventRow]]]:
    """The rows of these profiles and of all that were merged into them, and the events that unmerges moved."""
    patterns = [_PATTERNS[one] for one in (*needs.what, *(needs.names & _UNNAMED))]
    if needs.what & {"timezone", "location"}:
        patterns.append(_ESCAPED)
    rows: Rows = {}
    left, unmerges = set(profile_ids), set[str]()
    while left:
        rows |= {profile_id: [] for profile_id in left}
        records = await connection.fetch(_ROWS, sorted(left), sorted(needs.names), patterns)
        left = set()
        for row in _decoded(records):
            rows[row.profile_id].append(row)
            if isinstance(row, MergeRow) and row.loser not in rows:
                left.add(row.loser)
            elif isinstance(row, UnmergeRow | SplitRow):
                unmerges.add(row.id)
    return rows, await _moved(connection, needs, patterns, unmerges) if unmerges else {}


async def _moved(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    needs: Needs,
    patterns: Sequence[str],
    unmerges: Iterable[str],
) -> dict[str, list[EventRow]]:
    moved: dict[str, list[EventRow]] = {}
    for unmerge, *record in await connection.fetch(_MOVED, sorted(unmerges), sorted(needs.names), patterns):
        events = [row for row in _decoded([record]) if isinstance(row, EventRow)]
        moved.setdefault(unmerge, []).extend(events)
    return moved


def _decoded(records: Iterable[Iterable[Any]]) -> list[OwnRow | TombstoneRow | ErasureRow]:
    """A row that cannot be read is left out, as the stream leaves it out, and said."""
    rows = []
    for partition, seq, epoch, time, low, payload in records:
        try:
            row = decode_row(encode_row(seq=seq, epoch=epoch, time=time, low=low, payload=payload.encode()))
        except (msgspec.DecodeError, RecursionError):
            log.error("row_unreadable", partition=partition, seq=seq)
            continue
        if isinstance(row, OwnRow | TombstoneRow | ErasureRow):
            rows.append(row)
    return rows
