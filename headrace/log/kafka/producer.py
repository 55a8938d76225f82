"""Appending: one idempotent producer at a time, given up at its first failure.

aiokafka's idempotent producer that has failed a batch goes on with a hole in its sequence numbers, which the
broker refuses for ever (aio-libs/aiokafka#1017). So a producer that failed takes no more batches; those it has
under way end by themselves or by their deadline, others go to a new one with an identity of its own.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TypeAlias

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import STOP_SECONDS, cut, options, started, stopped, translated, unavailable
from headrace.log.kafka.shared import Shared
from headrace.log.port import MAX_BATCH_BYTES, LogUnavailable, NewRecord, RecordTooLarge

log = structlog.get_logger()

BATCH_ROOM = MAX_BATCH_BYTES * 5 // 4
# sequence numbers of a partition run to 2^31, where aiokafka goes on with a negative one
RECORDS_PER_PRODUCER = 1_000_000_000
UNKNOWN_OFFSET = -1
# aiokafka puts the batches of all partitions of a broker into one request, and a broker hangs up on one of more
# than 100 MiB (socket.request.max.bytes): as long as all are sent at once again, none would ever land
MOST_UNDER_WAY = 8 * MAX_BATCH_BYTES

Sent: TypeAlias = "asyncio.Future[RecordMetadata]"


class _Generation:
    """One producer and how many batches it has under way."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.under_way = 0
        self.records = 0
        # one at a time waits for a partition's turn: aiokafka counts the others' waiting against each of them
        self.entry: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.idle = asyncio.Event()


class _Room:
    """So many bytes may be under way at once; whoever asks first is served first."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def taken(self, size: int) -> bool:
        """Whether there was room at once. It is given back by `leave`."""
        if size > self._free or self._waiting:
            return False
        self._free -= size
        return True

    async def take(self, size: int) -> None:
        """Wait for room. It is given back by `leave`; when this is cancelled there is nothing to give back."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((size, turn))
                self._admit()
            else:
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            self._free -= size
            turn.set_result(None)


class Producer:
    """`timeout` seconds bound every append."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._clock = asyncio.get_running_loop().time
        self._room = _Room(MOST_UNDER_WAY)
        self._generation = Shared(self._start, self._retire)

    async def append(self, where: TopicPartition, records: Sequence[NewRecord], size: int) -> int:
        """Append one batch of `size` bytes; the first record's offset. A cancelled caller waits until the batch's
        fate is known. Raises RecordTooLarge or LogUnavailable."""
        deadline = self._clock() + self._timeout
        if not self._room.taken(size):
            with translated(self._address):
                async with asyncio.timeout_at(deadline):
                    await self._room.take(size)
        try:
            return await self._append(where, records, deadline)
        finally:
            self._room.leave(size)

    async def close(self) -> None:
        await self._generation.close()

    async def _append(self, where: TopicPartition, records: Sequence[NewRecord], deadline: float) -> int:
        generation = self._generation.value
        if generation is None or generation.records > RECORDS_PER_PRODUCER:
            generation = await self._another(generation, deadline)
        batch = _fill(generation.producer.create_batch(), where.topic, records)
        generation.under_way += 1
        generation.records += len(records)
        generation.idle.clear()
        try:
            sent = await self._enter(generation, batch, where, deadline)
            return await self._landed(generation, sent, where, deadline)
        except (KafkaError, TimeoutError) as error:
            self._give_up(generation, error)
            if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
                raise RecordTooLarge(
                    f"the broker refuses a batch for {where.topic}: raise max.message.bytes"
                ) from error
            raise unavailable(self._address, error) from error
        finally:
            generation.under_way -= 1
            if not generation.under_way:
                generation.idle.set()

    async def _enter(
        self, generation: _Generation, batch: BatchBuilder, where: TopicPartition, deadline: float
    ) -> Sent:
        """Hand the batch over when its partition's turn has come."""
        entry = generation.entry[where]
        if entry.locked():
            async with asyncio.timeout_at(deadline):
                await entry.acquire()
        else:
            await entry.acquire()
        try:
            sent: Sent = await generation.producer.send_batch(batch, where.topic, partition=where.partition)
            return sent
        finally:
            entry.release()

    async def _landed(
        self,
        generation: _Generation,
        sent: "asyncio.Future[RecordMetadata]",
        where: TopicPartition,
        deadline: float,
    ) -> int:
        try:
            await asyncio.wait([sent], timeout=deadline - self._clock())
        except asyncio.CancelledError:
            # what is on its way cannot be called back
            await asyncio.wait([sent], timeout=max(0.0, deadline - self._clock()))
            if not sent.done() or sent.exception():
                self._give_up(generation, TimeoutError())
            raise
        finally:
            if not sent.done():
                sent.add_done_callback(lambda late: late.cancelled() or late.exception())
        if not sent.done():
            raise TimeoutError(f"no answer within {self._timeout} s")
        offset = int(sent.result().offset)
        if offset == UNKNOWN_OFFSET:
            raise LogUnavailable(f"Kafka has a batch for {where.topic}/{where.partition} already and forgot where")
        return offset

    async def _another(self, generation: _Generation | None, deadline: float) -> _Generation:
        if generation is not None:
            self._give_up(generation, None)
        with translated(self._address):
            async with asyncio.timeout_at(deadline):
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

    def _give_up(self, generation: _Generation, error: BaseException | None) -> None:
        if self._generation.value is generation:
            log.info("log_producer_discarded", reason=repr(error) if error else "used up")
            self._generation.drop(generation)

    async def _retire(self, generation: _Generation) -> None:
        """Let the other batches of a failed producer end, then close it."""
        if generation.under_way:
            await generation.idle.wait()
        producer = generation.producer
        flushing = asyncio.ensure_future(producer.flush())
        await asyncio.wait([flushing], timeout=STOP_SECONDS)
        if not flushing.done():
            await _drop_batches(producer)
        await flushing
        await stopped(producer, producer.client)


async def _drop_batches(producer: AIOKafkaProducer) -> None:
    """Nobody waits for them any more; an idempotent producer would repeat them for ever, closed or not."""
    sender = producer._sender.sender_task
    sender.cancel()
    cut(producer.client)
    await asyncio.wait([sender], timeout=STOP_SECONDS)
    accumulator = producer._message_accumulator
    for batches in accumulator._batches.values():
        for batch in batches:
            batch.drain_ready()
            accumulator._pending_batches.add(batch)
    accumulator.fail_all(ProducerClosed())


def _fill(batch: BatchBuilder, topic: str, records: Sequence[NewRecord]) -> BatchBuilder:
    now = int(time.time() * 1000)  # the broker replaces it (LogAppendTime)
    for record in records:
        if batch.append(timestamp=now, key=record.key, value=record.value, headers=list(record.headers)) is None:
            raise RecordTooLarge(
                f"a batch for {topic} has more than {MAX_BATCH_BYTES} bytes: append fewer at a time"
            )
    batch.close()
    return batch
