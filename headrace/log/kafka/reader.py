"""Reading: one consumer follows every partition that somebody waits on, another looks up what is there already.

Positions are the readers' own (each read says where), never the group's; nothing is ever reset. A `getmany` is
never cancelled: aiokafka then loses count of its fetches and believes for ever that the consumer is idle.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError

from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import options, started, stopped, translated
from headrace.log.kafka.feed import Feed
from headrace.log.kafka.offsets import Offsets
from headrace.log.kafka.shared import Shared, result
from headrace.log.port import MAX_BATCH_BYTES, Bounds, LogUnavailable, OffsetOutOfRange, Record

log = structlog.get_logger()

POLL_MS = 500
FETCH_WAIT_MS = 250
FETCH_RECORDS = 2_000
LOOK_WAIT_MS = 20
BUFFER_BYTES = 64 * 1024 * 1024
LEAST_BYTES = 256 * 1024
FORGET_SECONDS = 30.0
STUCK_SECONDS = 20.0
RETRY_SECONDS = 0.1


class Reader:
    """`timeout` seconds: how long records that are there may fail to come."""

    def __init__(self, address: Address, offsets: Offsets, timeout: float) -> None:
        self._address = address
        self._offsets = offsets
        self._timeout = timeout
        self._feeds: dict[TopicPartition, Feed] = {}
        self._consumer = Shared(self._connect, lambda consumer: stopped(consumer, consumer._client))
        self._looker = Shared(self._connect_looker, lambda consumer: stopped(consumer, consumer._client))
        self._looking = asyncio.Lock()
        self._looks: set[asyncio.Task[list[Record]]] = set()
        self._looked: tuple[TopicPartition, int] | None = None
        self._continues: dict[TopicPartition, int] = {}
        self._pump: asyncio.Task[None] | None = None
        self._dirty = False
        self._closed = False

    async def follow(self, where: TopicPartition, offset: int, limit: int, wait: float) -> list[Record]:
        """Records from `offset` on as soon as there are any; none after `wait` seconds. Raises OffsetOutOfRange,
        UnknownTopic or LogUnavailable."""
        deadline = time.monotonic() + wait
        await self._offsets.require(where)
        if self._is_held(where, offset):
            return await self._follow_apart(where, offset, limit, deadline)
        feed = self._aim(where, offset)
        feed.readers += 1
        try:
            return await self._next(feed, where, offset, limit, deadline)
        finally:
            feed.readers -= 1
            feed.read_at = time.monotonic()
            self._flow(where, feed)

    async def look(self, where: TopicPartition, offset: int, limit: int) -> list[Record]:
        """What is there now from `offset` on."""
        feed = self._feeds.get(where)
        if feed is not None and feed.begin <= offset < feed.position:
            records = feed.take(offset, limit)
            self._continues[where] = records[-1].offset + 1
            feed.read_at = time.monotonic()
            self._flow(where, feed)
            return records
        bounds = await self._offsets.bounds(where)
        if offset == bounds.end:
            return []
        if not bounds.begin <= offset < bounds.end:
            raise _out_of_range(where, offset, bounds)
        if self._continues.get(where) == offset and not self._is_held(where, offset):
            # a reader on its way: what it reads next is fetched meanwhile
            records = await self.follow(where, offset, limit, self._timeout)
        else:
            records = await self._look_apart(where, offset, limit)
        if records:
            self._continues[where] = records[-1].offset + 1
        return records

    def _is_held(self, where: TopicPartition, offset: int) -> bool:
        """Whether others follow the partition at another place."""
        feed = self._feeds.get(where)
        return feed is not None and feed.readers > 0 and not feed.has(offset)

    async def _look_apart(self, where: TopicPartition, offset: int, limit: int) -> list[Record]:
        task = asyncio.create_task(self._look(where, offset, limit), name="log-look")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return await result(task)

    async def close(self) -> None:
        self._closed = True
        for feed in self._feeds.values():
            feed.wake()
        ending = [*self._looks, *([self._pump] if self._pump is not None else [])]
        for task in ending:
            task.cancel()
        # closing the consumer ends a `getmany` at once
        await asyncio.gather(self._consumer.close(), self._looker.close(), *ending, return_exceptions=True)

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log is closed")

    async def _next(
        self, feed: Feed, where: TopicPartition, offset: int, limit: int, deadline: float
    ) -> list[Record]:
        stuck_at = deadline + self._timeout
        while True:
            self._check_open()
            if not feed.has(offset):
                self._aim(where, offset)  # another reader took it elsewhere
            if feed.error is not None:
                await self._explain(feed, where, offset)
            if records := feed.take(offset, limit):
                return records
            self._flow(where, feed)  # what was read last may have filled it up
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await feed.changed()
            except TimeoutError:
                bounds = await self._offsets.bounds(where)
                if offset == bounds.end and feed.position == offset:
                    return []
                if not bounds.begin <= offset <= bounds.end:
                    raise _out_of_range(where, offset, bounds) from None
                if time.monotonic() > stuck_at:
                    self._suspect(feed, where)
                    raise self._not_delivered(where) from None
                deadline = time.monotonic() + RETRY_SECONDS

    async def _follow_apart(self, where: TopicPartition, offset: int, limit: int, deadline: float) -> list[Record]:
        """For a reader whose partition others follow elsewhere."""
        while True:
            records = await self.look(where, offset, limit)
            if records or time.monotonic() > deadline:
                return records
            await asyncio.sleep(RETRY_SECONDS)

    async def _explain(self, feed: Feed, where: TopicPartition, offset: int) -> None:
        """Raise what the readers should know of the feed's error; go on where it may have passed."""
        error = feed.error
        bounds = await self._offsets.bounds(where)
        if not bounds.begin <= offset <= bounds.end:
            raise _out_of_range(where, offset, bounds) from error
        feed.error = None
        self._seek(where, feed)

    def _suspect(self, feed: Feed, where: TopicPartition) -> None:
        """Records are there and do not come: after a while take a new consumer (aio-libs/aiokafka#1154, #703)."""
        consumer = self._consumer.value
        if consumer is not None and time.monotonic() - feed.moved_at > STUCK_SECONDS:
            log.warning("log_consumer_stuck", topic=where.topic, partition=where.partition)
            self._consumer.drop(consumer)

    def _not_delivered(self, where: TopicPartition) -> LogUnavailable:
        return LogUnavailable(f"Kafka at {self._address} does not deliver {where.topic}/{where.partition}")

    # --- the consumer that follows

    def _aim(self, where: TopicPartition, offset: int) -> Feed:
        """The partition's feed, on its way to `offset`."""
        self._check_open()
        feed = self._feeds.get(where)
        if feed is None:
            feed = self._feeds[where] = Feed(offset)
            self._reassign()
        elif not feed.has(offset):
            feed.aim(offset)
            self._seek(where, feed)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name="log-reader")
        return feed

    def _seek(self, where: TopicPartition, feed: Feed) -> None:
        consumer = self._consumer.value
        if consumer is not None and where in consumer.assignment():
            consumer.seek(where, feed.position)
            self._flow(where, feed)

    def _flow(self, where: TopicPartition, feed: Feed) -> None:
        """Stop fetching what nobody reads in time, go on when it was read."""
        consumer = self._consumer.value
        if consumer is None or where not in consumer.assignment():
            return
        full = feed.size > max(LEAST_BYTES, BUFFER_BYTES // len(self._feeds))
        pause = full or feed.error is not None  # what failed would fail again, and again, until somebody reads
        if pause != feed.paused:
            feed.paused = pause
            (consumer.pause if pause else consumer.resume)(where)

    def _reassign(self) -> None:
        """Follow exactly what has a feed, from the next turn of the loop on."""
        if not self._dirty:
            self._dirty = True
            asyncio.get_running_loop().call_soon(self._assign)

    def _assign(self) -> None:
        self._dirty = False
        consumer = self._consumer.value
        if consumer is None:
            return  # `_connect` does it
        consumer.assign(list(self._feeds))
        for where, feed in self._feeds.items():
            feed.paused = False
            consumer.seek(where, feed.position)
            self._flow(where, feed)

    async def _run(self) -> None:
        """Fetch while anybody reads. What fails is tried again; a reader whose records do not come says so."""
        while self._feeds:
            try:
                await self._turn(await self._consumer.get())
            except OffsetOutOfRangeError as error:
                for where in error.args[0]:
                    if (feed := self._feeds.get(where)) is not None:
                        feed.fail(error)
                        self._flow(where, feed)
            except (KafkaError, ConsumerStoppedError, LogUnavailable) as error:
                log.info("log_fetch_failed", reason=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self, consumer: AIOKafkaConsumer) -> None:
        if not consumer.assignment():
            self._assign()
        fetched = await self._fetch(consumer)
        for where, records in fetched.items():
            self._deliver(where, records)
        self._forget()

    async def _fetch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        fetching = asyncio.ensure_future(consumer.getmany(timeout_ms=POLL_MS, max_records=FETCH_RECORDS))
        try:
            return await asyncio.shield(fetching)
        except asyncio.CancelledError:
            await asyncio.wait([fetching])
            if not fetching.cancelled():
                fetching.exception()
            raise

    def _deliver(self, where: TopicPartition, fetched: Sequence[ConsumerRecord]) -> None:
        feed = self._feeds.get(where)
        if feed is None or not fetched:
            return
        first = fetched[0].offset
        if first < feed.position or (first > feed.position and feed.hole != (feed.position, first)):
            # fetched before a seek; what comes again the same is a hole that compaction left
            feed.hole = feed.position, first
            self._seek(where, feed)
            return
        feed.add([record_of(one) for one in fetched])
        feed.moved_at = time.monotonic()
        self._flow(where, feed)

    def _forget(self) -> None:
        """Follow no more what nobody has read for a while: the partition may be another member's now."""
        before = time.monotonic() - FORGET_SECONDS
        idle = [where for where, feed in self._feeds.items() if not feed.readers and feed.read_at < before]
        for where in idle:
            del self._feeds[where]
        if idle:
            self._reassign()

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options(FETCH_WAIT_MS))
        return await started(consumer, consumer._client, self._address, self._timeout)

    # --- the consumer that looks up

    async def _look(self, where: TopicPartition, offset: int, limit: int) -> list[Record]:
        async with self._looking:
            with translated(self._address):
                looker = await self._looker.get()
                try:
                    records = await self._look_with(looker, where, offset, limit)
                except OffsetOutOfRangeError as error:
                    self._forget_look(looker)
                    raise _out_of_range(where, offset) from error
                except BaseException:
                    self._forget_look(looker)
                    raise
                if not records:
                    self._forget_look(looker)
                    raise self._not_delivered(where)
                return records

    async def _look_with(
        self, looker: AIOKafkaConsumer, where: TopicPartition, offset: int, limit: int
    ) -> list[Record]:
        if self._looked == (where, offset):
            looker.resume(where)  # what was fetched beyond the last look is still there
        else:
            looker.assign([where])
            looker.seek(where, offset)
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            found = await looker.getmany(where, timeout_ms=LOOK_WAIT_MS, max_records=limit)
            if records := found.get(where):
                looker.pause(where)  # or it would go on fetching
                self._looked = where, records[-1].offset + 1
                return [record_of(one) for one in records]
        return []

    def _forget_look(self, looker: AIOKafkaConsumer) -> None:
        self._looked = None
        self._looker.drop(looker)

    async def _connect_looker(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options(LOOK_WAIT_MS))
        return await started(consumer, consumer._client, self._address, self._timeout)

    def _options(self, wait_ms: int) -> dict[str, object]:
        return options(
            self._address,
            self._timeout,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=wait_ms,
            max_partition_fetch_bytes=MAX_BATCH_BYTES,
            fetch_max_bytes=4 * MAX_BATCH_BYTES,
        )


def record_of(fetched: ConsumerRecord) -> Record:
    return Record(
        fetched.topic,
        fetched.partition,
        fetched.offset,
        fetched.timestamp,
        fetched.key,
        fetched.value,
        tuple(fetched.headers),
    )


def _out_of_range(where: TopicPartition, offset: int, bounds: Bounds | None = None) -> OffsetOutOfRange:
    held = f" within {bounds.begin} to {bounds.end}" if bounds is not None else " held any more"
    return OffsetOutOfRange(
        f"offset {offset} of {where.topic}/{where.partition} is not{held}: it was trimmed, or this is another log"
    )
