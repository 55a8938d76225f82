"""Outputs on their way to a topic: kept in Redis with the state, published by the owner of the partition.

How far publishing has come is kept in Postgres: it must outlive a Redis that lost everything.
"""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import asyncpg

from headrace.log.port import Log
from headrace.runtime.publisher import OutboxRecord, Published, last_published
from services.segmenter.redis_client import Client

KEPT = 1_000
"""Published records that each partition keeps, for receivers that miss some (`POST /v1/republish`)."""

Table = Literal["published", "published_trait"]

_STORED = "SELECT seq, position, next_offset FROM {table} WHERE partition = $1 AND epoch = $2"
_MARK = """
    INSERT INTO {table} (partition, epoch, seq, position, next_offset) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (partition, epoch) DO UPDATE
    SET seq = excluded.seq, position = excluded.position, next_offset = excluded.next_offset
    WHERE {table}.seq <= excluded.seq
"""
_BEFORE = "SELECT position FROM {table} WHERE partition = $1 AND epoch < $2 ORDER BY epoch DESC LIMIT 1"


class Publications:
    """How far each partition's outputs to a topic are published, by epoch."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", log: Log, topic: str, table: Table = "published"
    ) -> None:
        self._pool = pool
        self._log = log
        self._topic = topic
        self._stored, self._mark, self._before = (text.format(table=table) for text in (_STORED, _MARK, _BEFORE))

    async def stored(self, partition: int, epoch: int) -> Published:
        """What `store` last kept."""
        row = await self._pool.fetchrow(self._stored, partition, epoch)
        return Published(epoch, 0, "", 0) if row is None else Published(epoch, *row)

    async def found(self, partition: int, epoch: int) -> Published:
        """The last output stored as published or standing in the topic, whichever is greater."""
        return await last_published(self._log, self._topic, partition, await self.stored(partition, epoch))

    async def before(self, partition: int, epoch: int) -> str:
        """The last position published in earlier epochs; empty when there was none."""
        position: str | None = await self._pool.fetchval(self._before, partition, epoch)
        return position or ""

    async def store(self, partition: int, published: Published) -> None:
        await self._pool.execute(
            self._mark, partition, published.epoch, published.seq, published.position, published.next_offset
        )


class StreamOutbox:
    """Keeps `headrace.runtime.publisher.Outbox` for one epoch of one partition, in the stream
    `key(partition, epoch)`, whose entries `record(epoch, number, entry)` reads. `on_published` hears of each
    acknowledged batch: the log offset behind it."""

    def __init__(
        self,
        redis: Client,
        publications: Publications,
        epoch: int,
        key: Callable[[int, int], str],
        record: Callable[[int, bytes, bytes], OutboxRecord],
        *,
        on_published: Callable[[int], None],
    ) -> None:
        self._redis = redis
        self._publications = publications
        self._epoch = epoch
        self._key = key
        self._record = record
        self._on_published = on_published

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        reply = self._redis.xrange(self._key(partition, self._epoch), min=f"{after + 1}-0", max="+", count=limit)
        entries = cast(list[tuple[bytes, dict[bytes, bytes]]], await reply)
        return [self._record(self._epoch, number, fields[b"r"]) for number, fields in entries]

    async def published(self, partition: int) -> Published:
        return await self._publications.stored(partition, self._epoch)

    async def mark(self, partition: int, published: Published) -> None:
        self._on_published(published.next_offset)
        await self._publications.store(partition, published)
        # what is published and stored as such is needed only by who missed it
        oldest = max(0, published.seq + 1 - KEPT)
        await self._redis.xtrim(self._key(partition, self._epoch), minid=f"{oldest}-0", approximate=False)
