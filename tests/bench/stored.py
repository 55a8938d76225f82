"""How much the engines keep: bytes by topic, by table, by kind of key."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import asyncpg
import asyncpg.pool
import redis

from services.segmenter.commit import decode_mark

# quoted: asyncpg's classes are generic in its stubs only
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
_TABLES = """
    SELECT schemaname || '.' || relname AS name, pg_table_size(relid) AS own, pg_indexes_size(relid) AS indexes
    FROM pg_stat_user_tables WHERE schemaname = ANY($1::text[])
"""
_SCHEMAS = ("profiles", "segmenter", "messenger")
_KEYS = "headrace:segmenter:*"


class Table(NamedTuple):
    """Bytes of a table, what is kept out of line included, and of its indexes."""

    own: int
    indexes: int

    @property
    def whole(self) -> int:
        return self.own + self.indexes


def kafka(data: Path, prefix: str = "") -> Mapping[str, int]:
    """Bytes of each topic's segments in a broker's data folder, without their indexes."""
    found: dict[str, int] = defaultdict(int)
    for segment in data.glob(f"{prefix}cdp.*/*.log"):
        found[segment.parent.name.removeprefix(prefix).rpartition("-")[0]] += segment.stat().st_size
    return found


async def postgres(connection: "Connection") -> Mapping[str, Table]:
    """By schema and table."""
    rows = await connection.fetch(_TABLES, list(_SCHEMAS))
    return {row["name"]: Table(row["own"], row["indexes"]) for row in rows}


def state(url: str) -> Mapping[str, int]:
    """Bytes of the segmenter's keys by what they are (`customers`, `members`, …), all partitions together. It
    looks at every key, whole: for measuring, not for production."""
    found: dict[str, int] = defaultdict(int)
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(match=_KEYS, count=1_000):
            kind = key.decode().split(":")[3]
            found[kind] += int(client.memory_usage(key, samples=0))
    return found


def memberships(url: str) -> int:
    """How many there are, over all segments."""
    with redis.Redis.from_url(url) as client:
        keys = client.scan_iter(match="headrace:segmenter:*:members:*", count=1_000)
        return sum(int(client.zcard(key)) for key in keys)


def done(url: str) -> tuple[int, int]:
    """How many rows the segmenter has applied, and how many changes it has numbered for publishing."""
    with redis.Redis.from_url(url) as client:
        found = [decode_mark(client.get(key)) for key in client.scan_iter(match="headrace:segmenter:*:mark")]
    marks = [mark for mark in found if mark is not None]
    return sum(mark.seq for mark in marks), sum(mark.out_seq for mark in marks)
