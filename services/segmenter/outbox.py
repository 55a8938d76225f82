"""Transitions on their way to `cdp.segment-changes`: kept in Redis with the state, published by the owner.

How far publishing has come is kept in Postgres: it must outlive a Redis that lost everything.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

import asyncpg
import msgspec

from headrace.contracts.headers import store_output
from headrace.contracts.segment_change import ChangeAction
from headrace.log.port import Log, NewRecord
from headrace.runtime.publisher import OutboxRecord, Published, last_published
from services.segmenter import keys
from services.segmenter.change import SOURCE, Occasion, change_headers, encode_change, redacted_change, scene
from services.segmenter.commit import Output
from services.segmenter.redis_client import Client

KEPT = 1_000
"""Published changes that each partition keeps, for receivers that miss some (`POST /v1/republish`)."""

_MARK = """
    INSERT INTO published (partition, epoch, seq, position, next_offset) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (partition, epoch) DO UPDATE
    SET seq = excluded.seq, position = excluded.position, next_offset = excluded.next_offset
    WHERE published.seq <= excluded.seq
"""
_BEFORE = "SELECT position FROM published WHERE partition = $1 AND epoch < $2 ORDER BY epoch DESC LIMIT 1"

_Packed = tuple[str, str, ChangeAction, str, str | None, bytes]
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)


def pack_output(output: Output) -> bytes:
    """An output as the commit stores it: its value, and what the headers say besides epoch and number."""
    return pack_outputs([output])[0]


def pack_outputs(outputs: Iterable[Output]) -> list[bytes]:
    """The same of each."""
    packed = []
    occasion: Occasion | None = None
    for output in outputs:
        change = output.transition
        if change.occasion is not occasion:
            occasion = change.occasion
            on = scene(occasion)
            profile_id, before = occasion.profile_id, f"{occasion.seq},{occasion.now},{occasion.profile_id}"
        value = encode_change(change, on)
        position = f"{before},{change.step}"
        packed.append(_encode((position, profile_id, change.action, change.message_id, output.traceparent, value)))
    return packed


def redacted_output(packed: bytes, profile_ids: Collection[str]) -> bytes | None:
    """The stored output without the person, if it is about one of these; else None."""
    position, profile_id, action, message_id, trace, value = _decoder.decode(packed)
    if profile_id not in profile_ids:
        return None
    return _encode((position, profile_id, action, message_id, trace, redacted_change(value)))


class ChangeOutbox:
    """Keeps `headrace.runtime.publisher.Outbox` for one epoch of one partition's changes. `on_published` hears of
    each acknowledged batch: the log offset behind it."""

    def __init__(
        self, redis: Client, publications: "Publications", epoch: int, *, on_published: Callable[[int], None]
    ) -> None:
        self._redis = redis
        self._publications = publications
        self._epoch = epoch
        self._on_published = on_published

    async def pending(self, partition: int, after: int, limit: int) -> Sequence[OutboxRecord]:
        reply = self._redis.xrange(keys.outbox(partition, self._epoch), min=f"{after + 1}-0", max="+", count=limit)
        entries = cast(list[tuple[bytes, dict[bytes, bytes]]], await reply)
        return [_record(self._epoch, number, fields[b"r"]) for number, fields in entries]

    async def published(self, partition: int) -> Published:
        return await self._publications.stored(partition, self._epoch)

    async def mark(self, partition: int, published: Published) -> None:
        self._on_published(published.next_offset)
        await self._publications.store(partition, published)
        # what is published and stored as such is needed only by who missed it
        oldest = max(0, published.seq + 1 - KEPT)
        await self._redis.xtrim(keys.outbox(partition, self._epoch), minid=f"{oldest}-0", approximate=False)


class Publications:
    """How far each partition's changes are published, by epoch."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", log: Log, topic: str) -> None:
        self._pool = pool
        self._log = log
        self._topic = topic

    async def stored(self, partition: int, epoch: int) -> Published:
        """What `store` last kept."""
        row = await self._pool.fetchrow(
            "SELECT seq, position, next_offset FROM published WHERE partition = $1 AND epoch = $2",
            partition,
            epoch,
        )
        return Published(epoch, 0, "", 0) if row is None else Published(epoch, *row)

    async def found(self, partition: int, epoch: int) -> Published:
        """The last output stored as published or standing in the topic, whichever is greater."""
        return await last_published(self._log, self._topic, partition, await self.stored(partition, epoch))

    async def before(self, partition: int, epoch: int) -> str:
        """The last position published in earlier epochs; empty when there was none."""
        position: str | None = await self._pool.fetchval(_BEFORE, partition, epoch)
        return position or ""

    async def store(self, partition: int, published: Published) -> None:
        await self._pool.execute(
            _MARK, partition, published.epoch, published.seq, published.position, published.next_offset
        )


def _record(epoch: int, number: bytes, raw: bytes) -> OutboxRecord:
    seq = int(number.partition(b"-")[0])
    position, profile_id, action, message_id, trace, value = _decoder.decode(raw)
    event = change_headers(action, message_id=message_id, profile_id=profile_id, traceparent=trace)
    headers = event + store_output(source=SOURCE, epoch=epoch, seq=seq, position=position)
    return OutboxRecord(seq, position, NewRecord(profile_id.encode(), value, headers))
