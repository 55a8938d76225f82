"""The log on Redis Streams. One stream per partition; one Lua script per append gives dense offsets and time.

Deployments with different topic prefixes may share a server. A partition's appends are ordered by the server,
which is single-threaded; a reply comes after the fsync (`appendfsync always`), readers see nothing earlier.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

from headrace.contracts.topics import Topic
from headrace.log.port import (
    MAX_BATCH_BYTES,
    MAX_RECORD_BYTES,
    Bounds,
    LogUnavailable,
    NewRecord,
    OffsetOutOfRange,
    Record,
    RecordTooLarge,
    UnknownTopic,
)
from headrace.log.redis_streams import codec, erasing, housekeeping, keys, scripts
from headrace.log.redis_streams.lease import Lease
from headrace.log.redis_streams.member import RedisMember
from headrace.log.redis_streams.server import Server
from headrace.log.redis_streams.tails import Tails
from headrace.log.redis_streams.topics import create_topic, declared_topics

LEASE_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 5.0
TIMEOUT_SECONDS = 3.0
CONNECTIONS = 32


class RedisStreamsLog:
    """See `headrace.log.port.Log`; made by `connect`."""

    def __init__(
        self, server: Server, *, retention: housekeeping.Retention, max_record_bytes: int, lease_seconds: float
    ) -> None:
        self._server = server
        self._retention = retention
        self._max_record_bytes = max_record_bytes
        self._lease_seconds = lease_seconds
        self._tails = Tails(server)
        self._members: list[RedisMember] = []
        self._housekeeper: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        rollback_horizon_ms: int,
        max_record_bytes: int = MAX_RECORD_BYTES,
        timeout: float = TIMEOUT_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        housekeeping_seconds: float | None = HOUSEKEEPING_SECONDS,
    ) -> Self:
        """Open the log on the server at `url` and check that it keeps what the port promises.

        `timeout` bounds every call (seconds); `housekeeping_seconds` None leaves trimming to `trim`. Raises
        LogUnavailable, or WrongTopicSettings when the server may evict records or is older than Redis 7.
        """
        server = Server(url, timeout=timeout, connections=CONNECTIONS)
        try:
            await server.check()
        except BaseException:
            await server.close()
            raise
        retention = housekeeping.Retention(rollback_horizon_ms)
        log = cls(server, retention=retention, max_record_bytes=max_record_bytes, lease_seconds=lease_seconds)
        if housekeeping_seconds is not None:
            log._keep_house(housekeeping_seconds)
        return log

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        for topic in topics:
            if not topic.kafka_only:
                await create_topic(self._server, topic, partitions)

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        if not records:
            return (await self.bounds(topic, partition)).end
        values = [codec.encode(record) for record in records]
        # encoded, records are never smaller: this settles nearly every append without measuring each
        if sum(map(len, values)) > min(self._max_record_bytes, MAX_BATCH_BYTES):
            self._check_sizes(topic, records)
        # what is on its way cannot be called back: a cancelled caller waits until its fate is decided, so that
        # nothing lands after this call's end
        landing = asyncio.create_task(self._append(topic, partition, values))
        try:
            return await asyncio.shield(landing)
        except asyncio.CancelledError:
            await asyncio.wait([landing])
            if not landing.cancelled():
                landing.exception()  # seen: the caller gets the cancellation
            raise

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        if wait_ms <= 0:
            return await self._read(topic, partition, offset, max_records)
        tail = await self._tails.follow(keys.records(topic, partition))
        deadline = asyncio.get_running_loop().time() + wait_ms / 1000
        while True:
            seen = tail.count
            if not tail.is_at_end(offset):
                records = await self._read(topic, partition, offset, max_records)
                if len(records) < max_records:
                    tail.reached_end(records[-1].offset + 1 if records else offset, seen)
                if records:
                    return records
            try:
                async with asyncio.timeout_at(deadline):
                    await tail.moved(seen)
            except TimeoutError:
                return []

    async def bounds(self, topic: str, partition: int) -> Bounds:
        begin, end = await self._server.ask("HMGET", keys.meta(topic, partition), "begin", "end")
        if end is None:
            raise _unknown(topic, partition)
        return Bounds(int(begin), int(end))

    async def erase(self, topic: str, partition: int, offsets: Sequence[int]) -> bool:
        await self.bounds(topic, partition)
        if offsets:
            await erasing.erase(self._server, topic, partition, offsets)
        return True

    async def join(self, group: str, topics: Sequence[str], partitions: int) -> RedisMember:
        async def commit(topic: str, partition: int, next_offset: int) -> None:
            await self._server.call(self._server.commit, [keys.committed(topic, partition)], [group, next_offset])

        lease = Lease(self._server, keys.lease(group, topics[0]), ttl=self._lease_seconds)
        handovers = await self._tails.follow(lease.key)
        member = RedisMember(group, partitions, lease, handovers, commit)
        self._members.append(member)
        return member

    async def trim(self) -> int:
        """Remove now what may go; return how many records. Housekeeping calls it in the background."""
        return await housekeeping.trim(self._server, await declared_topics(self._server), self._retention)

    async def close(self) -> None:
        for member in self._members:
            await member.leave()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        await self._tails.close()
        await self._server.close()

    async def _append(self, topic: str, partition: int, values: Sequence[bytes]) -> int:
        offset = await self._server.append([keys.records(topic, partition), keys.meta(topic, partition)], values)
        if offset == scripts.APPEND_UNKNOWN:
            raise _unknown(topic, partition)
        if offset == scripts.APPEND_LATE:
            raise LogUnavailable(f"the log on {self._server.address} was too late for an append; nothing landed")
        return offset

    async def _read(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        entries = []
        if offset >= 0:
            key, first = keys.records(topic, partition), f"{offset + 1}-0"
            entries = await self._server.ask("XRANGE", key, first, "+", "COUNT", max_records)
        records = [codec.decode(topic, partition, entry_id, fields) for entry_id, fields in entries]
        if records and records[0].offset == offset:
            return records
        bounds = await self.bounds(topic, partition)
        if records or not bounds.begin <= offset <= bounds.end:
            raise OffsetOutOfRange(
                f"offset {offset} of {topic}/{partition} is not within {bounds.begin} to {bounds.end}: "
                "it was trimmed, or this is another log"
            )
        return []

    def _check_sizes(self, topic: str, records: Sequence[NewRecord]) -> None:
        sizes = [record.size() for record in records]
        if max(sizes) > self._max_record_bytes:
            size = next(size for size in sizes if size > self._max_record_bytes)
            raise RecordTooLarge(f"a record for {topic} has {size} bytes, the limit is {self._max_record_bytes}")
        if (size := sum(sizes)) > MAX_BATCH_BYTES:
            raise RecordTooLarge(
                f"a batch for {topic} has {size} bytes, the limit is {MAX_BATCH_BYTES}: append fewer at a time"
            )

    def _keep_house(self, interval: float) -> None:
        lease = Lease(self._server, keys.HOUSEKEEPING, ttl=3 * interval)
        work = housekeeping.keep_house(lease, self.trim, interval)
        self._housekeeper = asyncio.create_task(work, name="log-housekeeping")


def _unknown(topic: str, partition: int) -> UnknownTopic:
    return UnknownTopic(f"there is no {topic}/{partition}; run `headrace topics create`")
