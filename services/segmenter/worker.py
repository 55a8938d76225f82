"""One worker per partition of `cdp.profile-events`: reads, folds, commits, wakes the relay."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from headrace.contracts.headers import carried_trace
from headrace.log.port import Log, Member, OffsetOutOfRange, Record
from headrace.runtime.backlog import Backlogs
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.publisher import Relay
from headrace.runtime.replaced import log_replaced
from headrace.runtime.tasks import run_together
from headrace.runtime.tracing import OFF, Tracing
from services.segmenter import keys
from services.segmenter.change import SOURCE
from services.segmenter.commit import Fenced, Incoming, StateStore, Timeline
from services.segmenter.computed_outbox import ComputedOutbox
from services.segmenter.follower import Follower, Followers
from services.segmenter.observer import Observer
from services.segmenter.outbox import ChangeOutbox
from services.segmenter.partition import NewEpoch, Partition
from services.segmenter.paths import decode_row
from services.segmenter.publications import Publications
from services.segmenter.rebuild import catch_up, rebuild
from services.segmenter.redis_client import Client
from services.segmenter.repair import RebuildAsked, Repairs

log = structlog.get_logger()

READ_WAIT_MS = 500
FLUSH_SECONDS = 1.0
IDLE_FLUSH_SECONDS = 5.0
"""While only time moves. After a crash a few seconds of ticks are read again, a single read."""
RELAY_POLL_SECONDS = 10.0
"""Rows of a partition come from its owner, who wakes the relay. Another process that commits fences the owner."""
MAX_RECORDS = 500
UNDECODABLE = "undecodable"


@dataclass(frozen=True, slots=True)
class Topics:
    """Full names, prefix applied."""

    profile_events: str
    segment_changes: str
    computed_traits: str
    dead_letters: str


class PartitionWorker:
    """`work(q)` runs everything of partition q until cancelled or failed.

    A commit needs no shield: it is one script, and whoever works on the partition next reads from Redis
    whether it happened.
    """

    def __init__(
        self,
        log: Log,
        redis: Client,
        store: StateStore,
        timeline: Timeline,
        publications: Publications,
        computed: Publications,
        observer: Observer,
        followers: Followers,
        metrics: Metrics,
        topics: Topics,
        *,
        clock: Callable[[], int],
        tracing: Tracing = OFF,
    ) -> None:
        self._log = log
        self._redis = redis
        self._store = store
        self._timeline = timeline
        self._publications = publications
        self._computed = computed
        self._observer = observer
        self.followers = followers
        self._metrics = metrics
        self._topics = topics
        self._tracing = tracing
        self._member: Member | None = None
        self.repairs = Repairs()
        self.backlogs = Backlogs(log, metrics, clock=clock)
        followers.backlogs = self.backlogs

    def follow(self, member: Member) -> None:
        """Report positions through this member of the group (for lag tools and trimming)."""
        self._member = member
        self.followers.follow(member)

    async def work(self, q: int) -> None:
        follower = self.followers.of(q)
        with self.repairs.working(q):
            await run_together(self._work(q, follower), follower.run())

    async def _work(self, q: int, follower: Follower) -> None:
        epoch = 0
        while True:
            try:
                if self.repairs.wanted(q):
                    follower.skip_gap()
                partition = await self._opened(q, epoch)
                epoch = partition.mark.epoch
                outbox = ChangeOutbox(self._redis, self._publications, epoch, on_published=follower.wake)
                topic = self._topics.segment_changes
                relay = Relay(
                    self._log, outbox, topic=topic, partition=q, metrics=self._metrics, poll=RELAY_POLL_SECONDS
                )
                computed = Relay(
                    self._log,
                    ComputedOutbox(self._redis, self._computed, epoch),
                    topic=self._topics.computed_traits,
                    partition=q,
                    metrics=self._metrics,
                    poll=RELAY_POLL_SECONDS,
                )
                with self.repairs.publishing(q, relay):
                    following = self._follow(q, partition, relay, computed)
                    await run_together(relay.run(), computed.run(), following, self.repairs.interrupt(q))
            except NewEpoch as news:
                log.warning("new_epoch", partition=q, epoch=news.epoch)
                epoch = news.epoch
            except Fenced:
                log.info("fenced", partition=q)
            except RebuildAsked:
                log.info("rebuild_asked", partition=q)

    async def _opened(self, q: int, epoch: int) -> Partition:
        """The partition as stored; rebuilt when nothing is stored, only an epoch that is over, or something that
        stands before rows which were redacted since; or on request."""
        partition = await Partition.opened(q, self._store, self._timeline, self._observer)
        redacted = await self._timeline.redacted(q)
        stale = partition is None or partition.mark.epoch < epoch or partition.mark.seq < redacted.seq
        if partition is None or stale or self.repairs.wanted(q):
            self._metrics.rebuilds.inc()
            log.info("rebuilding", partition=q, epoch=epoch)
            partition = await rebuild(
                q, self._store, self._timeline, self._observer, self._publications, self._computed, epoch=epoch
            )
            self.repairs.rebuilt(q)
            log.info("rebuilt", partition=q, seq=partition.mark.seq)
        if partition.mark.seq >= redacted.counted_seq:
            partition.count_from(redacted.transitions, redacted.computed)
        partition.report()
        return partition

    async def _follow(self, q: int, partition: Partition, relay: Relay, computed: Relay) -> None:
        clock, backlog = asyncio.get_running_loop().time, self.backlogs.of(self._topics.profile_events, q)
        partition.on_commit = backlog.work
        flushed, flushed_seq = clock(), partition.mark.seq
        while True:
            failpoint("before_read")
            backlog.at(partition.mark.offset)
            out_seq, computed_seq = partition.mark.out_seq, partition.mark.computed_seq
            records = await self._read(q, partition)  # which may have to catch up
            mismatches = partition.mismatches
            others = partition.other_currencies
            if records:
                backlog.oldest = records[0].time
                failpoint("after_read")
                incoming = [item for record in records if (item := await self._decoded(record)) is not None]
                with self._tracing.consuming(self._topics.profile_events, q, records):
                    await partition.process(incoming)
                partition.go_on_from(max(partition.mark.offset, records[-1].offset + 1))
            await partition.backfill()
            self._metrics.type_mismatches.inc(max(0, partition.mismatches - mismatches))
            self._metrics.other_currencies.inc(max(0, partition.other_currencies - others))
            if partition.mark.out_seq != out_seq:
                relay.wake()
            if partition.mark.computed_seq != computed_seq:
                computed.wake()
            idle = partition.mark.seq == flushed_seq
            if clock() - flushed >= (IDLE_FLUSH_SECONDS if idle else FLUSH_SECONDS):
                flushed, flushed_seq = clock(), partition.mark.seq
                await partition.flush()
                self._measure_outbox(self._topics.segment_changes, q, partition.mark.out_seq, relay)
                self._measure_outbox(self._topics.computed_traits, q, partition.mark.computed_seq, computed)
                await self._measure(q, partition.mark.offset)

    async def _read(self, q: int, partition: Partition) -> Sequence[Record]:
        """The next records; at once when there is a backfill to go on with."""
        busy = partition.mark.backfill is not None
        topic, offset = self._topics.profile_events, partition.mark.offset
        try:
            return await self._log.read(
                topic, q, offset, max_records=MAX_RECORDS, wait_ms=0 if busy else READ_WAIT_MS
            )
        except OffsetOutOfRange:
            bounds = await self._log.bounds(topic, q)
            if offset > bounds.end:
                log_replaced(topic, q, offset, bounds)
            log.info("catching_up", partition=q, offset=offset, begin=bounds.begin)
            await catch_up(q, partition, self._timeline)
            partition.go_on_from(bounds.begin)
            return ()

    async def _decoded(self, record: Record) -> Incoming | None:
        """The record's row; None when it is unreadable, once it is set aside."""
        try:
            row = decode_row(record.value or b"")
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            await self._set_aside(record, str(error))
            return None
        return Incoming(row, record.offset + 1, carried_trace(record.headers))

    async def _set_aside(self, record: Record, detail: str) -> None:
        letter = dead_letter(record, UNDECODABLE, detail, service=SOURCE, at=record.time)
        await self._log.append(self._topics.dead_letters, record.partition, [letter])
        self._metrics.dead_letters.labels(UNDECODABLE).inc()

    def _measure_outbox(self, topic: str, q: int, made: int, relay: Relay) -> None:
        """What is waiting behind the partition."""
        if relay.published is not None:
            self._metrics.outbox.labels(topic, q).set(max(0, made - relay.published.seq))

    async def _measure(self, q: int, offset: int) -> None:
        """Once a second: how many deadlines the partition has, and, for lag tools, where it stands."""
        self._metrics.timers.labels(q).set(await self._redis.zcard(keys.deadlines(q)))
        if self._member is not None:
            await self._member.commit(self._topics.profile_events, q, offset)
