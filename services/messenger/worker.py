"""One worker per partition: decides on segment changes, follows merges and erasures, publishes outcomes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import asyncpg
import structlog

from headrace.contracts.instant import Millis
from headrace.log.port import Log, Member
from headrace.runtime.backlog import Backlogs
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.publisher import Outbox, Relay
from headrace.runtime.rhythm import Rhythm
from headrace.runtime.tasks import finish, run_together
from headrace.runtime.tracing import OFF, Tracing
from services.messenger.input import Batch, ContiguousInput, SetAside
from services.messenger.offset_input import OffsetInput
from services.messenger.store import Fenced, Position, Positions

log = structlog.get_logger()

Clock = Callable[[], Millis]

_READ_WAIT_MS = 5000
_SAVE_SECONDS = 5.0
"""How long a position that only moves may stay unsaved."""
_LOOK_SECONDS = 1.0
_RELAY_POLL_SECONDS = 10.0


class Handler(Protocol):
    """What is done with one input's records."""

    topic: str

    @property
    def lazy(self) -> bool:
        """Most records are none of its business: it may learn of one a second later."""
        ...

    @property
    def numbered(self) -> bool:
        """A store writes the input and numbers its records; else offsets alone count."""
        ...

    async def apply(self, partition: int, batch: Batch, expected: Position) -> bool:
        """Apply the records and move the stored position from `expected` to the batch's, in one transaction.
        False when there was nothing to apply and nothing was written. Raises Fenced."""
        ...

    async def save(self, partition: int, expected: Position, position: Position) -> None:
        """Only move the stored position. Raises Fenced."""
        ...


class PartitionWorker:
    """`work(q)` runs everything of partition q until cancelled or failed; `wake` after committed outcomes."""

    def __init__(
        self,
        log: Log,
        positions: Positions,
        outbox: Outbox,
        handlers: tuple[Handler, ...],
        metrics: Metrics,
        *,
        outcomes_topic: str,
        set_aside: SetAside,
        last_outcomes: Callable[[], Awaitable[Mapping[int, int]]],
        tracing: Tracing = OFF,
    ) -> None:
        self._log = log
        self._positions = positions
        self._outbox = outbox
        self._handlers = handlers
        self._metrics = metrics
        self._topic = outcomes_topic
        self._set_aside = set_aside
        self._last_outcomes = last_outcomes
        self.backlogs = Backlogs(log, metrics)
        self._tracing = tracing
        self._rhythm = Rhythm(_LOOK_SECONDS)
        self._relays: dict[int, Relay] = {}
        self._member: Member | None = None

    def follow(self, member: Member) -> None:
        """Report positions through this member of the group (for lag tools and trimming)."""
        self._member = member

    def relay(self, partition: int) -> Relay | None:
        """The relay of a partition that is ours now."""
        return self._relays.get(partition)

    def wake(self) -> None:
        for relay in self._relays.values():
            relay.wake()

    async def watch(self) -> None:
        """Wake the relays for outcomes that other processes have committed, for ever: one look for all of them."""
        while True:
            await self._rhythm.next()
            try:
                last = await self._last_outcomes() if self._relays else {}
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("look_failed", error=type(error).__name__)
                continue
            for partition, relay in self._relays.items():
                if relay.published is None:
                    continue
                behind = max(0, last.get(partition, 0) - relay.published.seq)
                self._metrics.outbox.labels(self._topic, partition).set(behind)
                if behind:
                    relay.wake()

    async def work(self, partition: int) -> None:
        relay = Relay(
            self._log,
            self._outbox,
            topic=self._topic,
            partition=partition,
            metrics=self._metrics,
            poll=_RELAY_POLL_SECONDS,
        )
        self._relays[partition] = relay
        try:
            await run_together(relay.run(), *(self._follow(handler, partition) for handler in self._handlers))
        finally:
            del self._relays[partition]

    async def _follow(self, handler: Handler, partition: int) -> None:
        while True:
            try:
                await self._follow_from_stored(handler, partition)
            except Fenced:
                self._metrics.fenced.labels("positions").inc()
                log.info("fenced", topic=handler.topic, partition=partition)

    async def _follow_from_stored(self, handler: Handler, partition: int) -> None:
        stored = await self._positions.load(handler.topic, partition)
        source = self._source(handler, partition, stored)
        clock = asyncio.get_running_loop().time
        save_at = clock() + _SAVE_SECONDS
        while True:
            failpoint("before_read")
            batch = await source.read(0 if handler.lazy else _READ_WAIT_MS)
            if batch.records:
                failpoint("after_read")
            if batch.position != stored and await self._take(
                handler, partition, batch, stored, clock() >= save_at
            ):
                stored, save_at = batch.position, clock() + _SAVE_SECONDS
                if self._member is not None:
                    await self._member.commit(handler.topic, partition, stored.next_offset)
            if handler.lazy and not batch.more:
                await self._rhythm.next()

    def _source(self, handler: Handler, partition: int, stored: Position) -> "ContiguousInput | OffsetInput":
        backlog = self.backlogs.of(handler.topic, partition)
        if not handler.numbered:
            return OffsetInput(self._log, handler.topic, partition, stored, self._metrics, backlog=backlog)
        return ContiguousInput(
            self._log,
            handler.topic,
            partition,
            stored,
            self._metrics,
            set_aside=self._set_aside,
            backlog=backlog,
        )

    async def _take(self, handler: Handler, partition: int, batch: Batch, stored: Position, save: bool) -> bool:
        """Apply the batch; where that writes nothing, move the position if it is time to `save`. True when the
        stored position has moved."""
        with self._tracing.consuming(handler.topic, partition, batch.records):
            applied = await finish(handler.apply(partition, batch, stored))
        if applied:
            return True
        if save:
            await finish(handler.save(partition, stored, batch.position))
        return save
