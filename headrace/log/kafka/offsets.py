"""Where partitions begin and end. Callers who ask at the same time share one request to each broker."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import deadline, options, started, stopped
from headrace.log.kafka.shared import Shared, result
from headrace.log.port import Bounds, LogUnavailable, UnknownTopic

Look: TypeAlias = asyncio.Task[Mapping[TopicPartition, Bounds]]
Positions: TypeAlias = Mapping[TopicPartition, int]


class Offsets:
    """Looks partitions up on a connection of its own: a waiting fetch would hold the answer back."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._consumer = Shared(self._connect, lambda consumer: stopped(consumer, consumer._client))
        self.known: set[TopicPartition] = set()
        """Partitions that were seen to exist: a look-up for what is asked at every append."""
        self._next: tuple[set[TopicPartition], Look] | None = None
        self._looks: set[Look] = set()

    async def connect(self) -> None:
        """Raises LogUnavailable when no broker answers."""
        async with deadline(self._address, self._timeout):
            await self._consumer.get()

    async def bounds(self, where: TopicPartition) -> Bounds:
        """As they are at some moment after the call. Raises UnknownTopic or LogUnavailable."""
        await self.require(where)
        if self._next is None:
            wanted: set[TopicPartition] = set()
            self._next = wanted, asyncio.create_task(self._look(wanted), name="log-offsets")
            self._looks.add(self._next[1])
            self._next[1].add_done_callback(self._looked)
        wanted, look = self._next
        wanted.add(where)
        return (await result(look))[where]

    async def require(self, where: TopicPartition) -> None:
        """Raises UnknownTopic unless the partition exists: asking the broker for it could create it."""
        if where in self.known:
            return
        async with deadline(self._address, self._timeout):
            consumer = await self._consumer.get()
            # the metadata of all topics: naming one creates it where brokers are set to. A client that has missed
            # a leader asks for that topic only, and forgets the others (aiokafka's fetcher.py): all of them again
            if not _exists(consumer, where) and not await consumer._client.set_topics([]):
                raise LogUnavailable(f"Kafka at {self._address} does not tell which topics there are")
        if not _exists(consumer, where):
            raise UnknownTopic(f"there is no {where.topic}/{where.partition}; run `headrace topics create`")
        self.known.add(where)

    async def close(self) -> None:
        for look in self._looks:  # the library would ask on without its consumer
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        await self._consumer.close()

    async def _look(self, wanted: set[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        await asyncio.sleep(0)  # those who ask in the same turn of the loop come along
        self._next = None
        consumer: AIOKafkaConsumer | None = None
        try:
            async with deadline(self._address, self._timeout):
                consumer = await self._consumer.get()
                begins, ends = await _together(
                    consumer.beginning_offsets(list(wanted)), consumer.end_offsets(list(wanted))
                )
        except LogUnavailable:
            if consumer is not None:  # one that failed may know wrong leaders for ever
                self._consumer.drop(consumer)
                self.known.clear()
            raise
        return {where: Bounds(begins[where], ends[where]) for where in wanted}

    def _looked(self, look: Look) -> None:
        self._looks.discard(look)
        if not look.cancelled():
            look.exception()  # whoever waits has it

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**options(self._address, self._timeout, enable_auto_commit=False))
        return await started(consumer, consumer._client, self._address, self._timeout)


async def _together(*questions: Coroutine[Any, Any, Positions]) -> list[Positions]:
    """The answers. After an error nothing is asked any more."""
    asking = [asyncio.ensure_future(question) for question in questions]
    try:
        return await asyncio.gather(*asking)
    finally:
        for one in asking:
            one.cancel()


def _exists(consumer: AIOKafkaConsumer, where: TopicPartition) -> bool:
    return where.partition in (consumer.partitions_for_topic(where.topic) or ())
