"""A place in a Kafka consumer group: which partition numbers are ours, and the offsets lag tools look at.

The consumer here only belongs to the group: everything assigned is paused, reading goes its own ways.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import completed, options, started, stopped

log = structlog.get_logger()

SESSION_SECONDS = 6.0
HEARTBEATS_PER_SESSION = 12
POLL_MS = 500
COMMIT_SECONDS = 1.0
LAST_COMMIT_SECONDS = 1.0
RETRY_SECONDS = 0.5
# a member that hears nothing for so many sessions is stuck (aio-libs/aiokafka#703, #1154): it joins anew
DEAF_SESSIONS = 4

Polling: TypeAlias = asyncio.Future[Any]


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]
    """See `headrace.log.port.Member`. The group assigns by range, which gives a partition number of all its topics
    to one member, as they have equally many."""

    def __init__(self, address: Address, group: str, topics: Sequence[str], *, session: float) -> None:
        self._address = address
        self._group = group
        self._topics = tuple(topics)
        self._session = session
        self._ours: frozenset[int] = frozenset()
        self._heard_at = time.monotonic()
        self._changed = asyncio.Event()
        self._left = False
        self._offsets: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self.failed_commits = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._task = asyncio.create_task(self._stay(), name=f"member-{group}")

    def assigned(self) -> frozenset[int]:
        # without a sign from the coordinator for a session's length, others have our partitions
        return self._ours if time.monotonic() - self._heard_at < self._session else frozenset()

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        while (now := self.assigned()) == known:
            patience = self._heard_at + self._session - time.monotonic() if now else None
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._changed.wait()
        return now

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        """Takes note; the offsets of all partitions are sent together."""
        where = TopicPartition(topic, partition)
        if next_offset > self._offsets.get(where, -1):
            self._offsets[where] = next_offset

    async def leave(self) -> None:
        if not self._left:
            self._left = True
            self._set(frozenset())
            self._task.cancel()
        # a caller who goes away does not stop the leaving, and whoever calls again waits for it
        await asyncio.gather(asyncio.shield(self._task), return_exceptions=True)

    # --- called by aiokafka while a rebalance goes on

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._committed.clear()  # others may commit from now on
        self._set(frozenset())

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        consumer = self._consumer
        if consumer is None or self._left:
            return
        for where in assigned:
            consumer.seek(where, 0)  # no position is asked for, and none is fetched from
            consumer.pause(where)
        copies = Counter(where.partition for where in assigned)
        self._hear()
        self._set(frozenset(q for q, topics in copies.items() if topics == len(self._topics)))

    # --- our own life

    async def _stay(self) -> None:
        while True:
            try:
                await self._belong()
            except Exception as error:  # also what the library asserts: without this task nobody would join again
                log.warning("member_failed", group=self._group, reason=str(error) or type(error).__name__)
            self._set(frozenset())
            await asyncio.sleep(RETRY_SECONDS)

    async def _belong(self) -> None:
        """Be a member until that fails, or until nothing was heard for too long."""
        consumer = AIOKafkaConsumer(**self._options())
        consumer = await started(consumer, consumer._client, self._address, 2 * self._session)
        self._consumer = consumer
        self._committed.clear()
        committing: asyncio.Task[None] | None = None
        polling: Polling | None = None
        try:
            consumer.subscribe(topics=self._topics, listener=self)
            _notice_heartbeats(consumer, self._hear)
            self._hear()
            committing = asyncio.create_task(self._commit_forever(consumer), name=f"commits-{self._group}")
            while time.monotonic() - self._heard_at < DEAF_SESSIONS * self._session:
                if polling is None:
                    polling = asyncio.ensure_future(consumer.getmany(timeout_ms=POLL_MS))
                polling = await self._polled(polling)
            log.warning("member_deaf", group=self._group)
        finally:
            await completed(self._end(consumer, committing, polling))

    async def _polled(self, polling: Polling) -> Polling | None:
        """aiokafka counts a member that does not poll as hung. A poll waits for the end of a rebalance, however
        long; the one that does is returned. It is never cancelled while the consumer is in use."""
        await asyncio.wait([polling], timeout=self._session)
        if not polling.done():
            return polling
        with suppress(NoOffsetForPartitionError):
            polling.result()
        return None

    async def _end(
        self, consumer: AIOKafkaConsumer, committing: asyncio.Task[None] | None, polling: Polling | None
    ) -> None:
        """Leave the group and nothing behind."""
        if committing is not None:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
            await self._commit(consumer, LAST_COMMIT_SECONDS)
        self._consumer = None
        await stopped(consumer, consumer._client)
        if polling is not None:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def _commit_forever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit(consumer, self._session)

    async def _commit(self, consumer: AIOKafkaConsumer, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                if news := await self._news(consumer):
                    await consumer.commit(news)
                    self._committed.update(news)
        except (KafkaError, TimeoutError) as error:
            self.failed_commits += 1
            log.info("commit_failed", group=self._group, reason=str(error) or type(error).__name__)

    async def _news(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """What is ours and beyond what is stored, which another member may have brought further meanwhile."""
        ours = consumer.assignment()
        if unknown := self._offsets.keys() & ours - self._committed.keys():
            stored = await consumer._coordinator.fetch_committed_offsets(list(unknown))
            self._committed.update({where: stored[where].offset if where in stored else -1 for where in unknown})
        return {
            where: offset
            for where, offset in self._offsets.items()
            if where in ours and offset > self._committed.get(where, -1)
        }

    def _hear(self) -> None:
        lapsed = self.assigned() != self._ours
        self._heard_at = time.monotonic()
        if lapsed:
            self._tell()  # nobody has missed us: the partitions are ours again

    def _set(self, partitions: frozenset[int]) -> None:
        self._ours = partitions
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _options(self) -> dict[str, object]:
        return options(
            self._address,
            # a join is answered when all members have joined, at the latest after the rebalance's time-out
            2 * self._session,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=int(self._session * 1000),
            rebalance_timeout_ms=int(self._session * 1000),
            heartbeat_interval_ms=int(self._session * 1000 / HEARTBEATS_PER_SESSION),
            partition_assignment_strategy=(RangePartitionAssignor,),
        )


def _notice_heartbeats(consumer: AIOKafkaConsumer, hear: Callable[[], None]) -> None:
    """Call `hear` at every heartbeat that the coordinator accepts: the library tells nobody when they fail."""
    coordinator = consumer._coordinator
    beat = coordinator._do_heartbeat

    async def noticed() -> bool:
        accepted = bool(await beat())
        if accepted:
            hear()
        return accepted

    coordinator._do_heartbeat = noticed
