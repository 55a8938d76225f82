"""The log on Apache Kafka.

An append is one record batch of an idempotent producer with acks=all. After a time-out it may still land, even
later than the call's end, on a broker that was stalled; every reader of ours drops what it has seen, by the
source's message id or the store's number. Trimming is Kafka's: retention, which is checked to be long enough.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Self

from aiokafka import TopicPartition

from headrace.contracts.topics import Topic
from headrace.log.kafka.address import Address, parse_address
from headrace.log.kafka.clients import completed
from headrace.log.kafka.member import SESSION_SECONDS, KafkaMember
from headrace.log.kafka.offsets import Offsets
from headrace.log.kafka.producer import Producer
from headrace.log.kafka.reader import Reader
from headrace.log.kafka.topics import create_topics
from headrace.log.port import (
    MAX_BATCH_BYTES,
    MAX_RECORD_BYTES,
    Bounds,
    LogUnavailable,
    NewRecord,
    Record,
    RecordTooLarge,
)

TIMEOUT_SECONDS = 5.0
# the numbers and lengths that a batch has for each record, with a few headers
RECORD_OVERHEAD = 128


class KafkaLog:
    """See `headrace.log.port.Log`; made by `connect`."""

    def __init__(
        self, address: Address, *, horizon_ms: int, timeout: float, max_record_bytes: int, session_seconds: float
    ) -> None:
        self._address = address
        self._horizon_ms = horizon_ms
        self._timeout = timeout
        self._max_record_bytes = max_record_bytes
        self._session_seconds = session_seconds
        self._offsets = Offsets(address, timeout)
        self._producer = Producer(address, timeout)
        self._reader = Reader(address, self._offsets, timeout)
        self._members: list[KafkaMember] = []
        self._closed = False

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        rollback_horizon_ms: int,
        timeout: float = TIMEOUT_SECONDS,
        max_record_bytes: int = MAX_RECORD_BYTES,
        session_seconds: float = SESSION_SECONDS,
    ) -> Self:
        """Open the log on the cluster at `url` (see `address`). `timeout` bounds every call, `session_seconds`
        is the silence after which a member of a group is replaced. Raises SettingsError or LogUnavailable."""
        # what it says of every failed try we say once, in our words
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        log = cls(
            parse_address(url),
            horizon_ms=rollback_horizon_ms,
            timeout=timeout,
            max_record_bytes=max_record_bytes,
            session_seconds=session_seconds,
        )
        try:
            await log._offsets.connect()
        except BaseException:
            await log.close()
            raise
        return log

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        await create_topics(self._address, topics, partitions, horizon_ms=self._horizon_ms, timeout=self._timeout)

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        self._check_open()
        where = TopicPartition(topic, partition)
        if not records:
            return (await self._offsets.bounds(where)).end
        size = self._check_sizes(topic, records)
        if where not in self._offsets.known:
            await self._offsets.require(where)
        return await self._producer.append(where, records, size)

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        self._check_open()
        where = TopicPartition(topic, partition)
        if wait_ms <= 0:
            return await self._reader.look(where, offset, max_records)
        return await self._reader.follow(where, offset, max_records, wait_ms / 1000)

    async def bounds(self, topic: str, partition: int) -> Bounds:
        self._check_open()
        return await self._offsets.bounds(TopicPartition(topic, partition))

    async def erase(self, topic: str, partition: int, offsets: Sequence[int]) -> bool:
        self._check_open()
        return False

    async def join(self, group: str, topics: Sequence[str], partitions: int) -> KafkaMember:
        self._check_open()
        for topic in topics:
            await self._offsets.require(TopicPartition(topic, partitions - 1))
        self._check_open()
        member = KafkaMember(self._address, group, topics, session=self._session_seconds)
        self._members.append(member)
        return member

    async def close(self) -> None:
        self._closed = True
        await completed(self._close())

    async def _close(self) -> None:
        leaving = [member.leave() for member in self._members]
        await asyncio.gather(*leaving, self._reader.close(), self._producer.close(), self._offsets.close())

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log is closed")

    def _check_sizes(self, topic: str, records: Sequence[NewRecord]) -> int:
        """The bytes that they all have. Raises RecordTooLarge."""
        whole = 0
        for record in records:
            size = record.size()
            if size > self._max_record_bytes:
                raise RecordTooLarge(
                    f"a record for {topic} has {size} bytes, the limit is {self._max_record_bytes}"
                )
            whole += size + RECORD_OVERHEAD
        if whole > MAX_BATCH_BYTES:
            raise RecordTooLarge(
                f"a batch for {topic} has {whole} bytes, the limit is {MAX_BATCH_BYTES}: append fewer at a time"
            )
        return whole
