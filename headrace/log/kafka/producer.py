"""Appending: one idempotent producer at a time, given up at its first failure.

aiokafka's idempotent producer that has failed a batch goes on with a hole in its sequence numbers, which the
broker refuses for ever (aio-libs/aiokafka#1017). So a producer that failed takes no more batches; those it has
under way end by themselves or by their deadline, others go to a new one with an identity of its own.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import options, started, stopped, translated, unavailable
from headrace.log.kafka.shared import Shared
from headrace.log.port import MAX_BATCH_BYTES, LogUnavailable, NewRecord, RecordTooLarge

log = structlog.get_logger()

# a record's own numbers and lengths in a batch, each header's, and the batch's head, at most
RECORD_OVERHEAD = 40
HEADER_OVERHEAD = 10
BATCH_ROOM = MAX_BATCH_BYTES * 5 // 4
# sequence numbers of a partition run to 2^31, where aiokafka goes on with a negative one
RECORDS_PER_PRODUCER = 1_000_000_000
UNKNOWN_OFFSET = -1


class _Generation:
    """One producer and how many batches it has under way."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.under_way = 0
        self.records = 0
        # one at a time waits for a partition's turn: aiokafka counts the others' waiting against each of them
        self.entry: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.idle = asyncio.Event()
        self.idle.set()


class Producer:
    """`timeout` seconds bound every append."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._generation = Shared(self._start, self._retire)

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        """Append one batch; the first record's offset. Raises RecordTooLarge or LogUnavailable."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        with translated(self._address):
            async with asyncio.timeout_at(deadline):
                generation = await self._current()
        batch = _fill(generation.producer.create_batch(), topic, records)
        generation.under_way += 1
        generation.records += len(records)
        generation.idle.clear()
        try:
            return await self._send(generation, batch, topic, partition, deadline)
        except (KafkaError, TimeoutError) as error:
            self._give_up(generation, str(error) or type(error).__name__)
            if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
                raise RecordTooLarge(
                    f"the broker refuses the size of a batch for {topic}: raise its limit"
                ) from error
            raise unavailable(self._address, error) from error
        finally:
            generation.under_way -= 1
            if not generation.under_way:
                generation.idle.set()

    async def close(self) -> None:
        await self._generation.close()

    async def _send(
        self, generation: _Generation, batch: BatchBuilder, topic: str, partition: int, deadline: float
    ) -> int:
        async with asyncio.timeout_at(deadline):
            async with generation.entry[topic, partition]:
                sent = await generation.producer.send_batch(batch, topic, partition=partition)
            metadata = await sent
        if metadata.offset == UNKNOWN_OFFSET:
            raise LogUnavailable(f"Kafka has a batch for {topic}/{partition} already and forgot where")
        return int(metadata.offset)

    async def _current(self) -> _Generation:
        generation = self._generation.value
        if generation is not None and generation.records > RECORDS_PER_PRODUCER:
            self._give_up(generation, "used up")
        return await self._generation.get()

    async def _start(self) -> _Generation:
        settings = options(
            self._address,
            self._timeout,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_ROOM,
            max_request_size=BATCH_ROOM,
        )
        producer = AIOKafkaProducer(**settings)
        return _Generation(await started(producer, producer.client, self._address, self._timeout))

    def _give_up(self, generation: _Generation, reason: str) -> None:
        if self._generation.value is generation:
            log.info("log_producer_discarded", reason=reason)
            self._generation.drop(generation)

    async def _retire(self, generation: _Generation) -> None:
        """Let the other batches of a failed producer end, then close it."""
        await generation.idle.wait()
        await stopped(generation.producer, generation.producer.client)


def batch_bytes(records: Sequence[NewRecord]) -> int:
    """What the records take in a batch, at most."""
    return sum(record.size() + RECORD_OVERHEAD + HEADER_OVERHEAD * len(record.headers) for record in records)


def _fill(batch: BatchBuilder, topic: str, records: Sequence[NewRecord]) -> BatchBuilder:
    now = int(time.time() * 1000)  # the broker replaces it (LogAppendTime)
    for record in records:
        if batch.append(timestamp=now, key=record.key, value=record.value, headers=list(record.headers)) is None:
            raise RecordTooLarge(
                f"a batch for {topic} has more than {MAX_BATCH_BYTES} bytes: append fewer at a time"
            )
    batch.close()
    return batch
