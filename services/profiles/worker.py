"""What this process does for the partitions it owns: three inputs in, the timeline out, time between."""

from collections.abc import Callable, Iterable

import asyncpg

from headrace.contracts import topics
from headrace.log.port import Log, Member
from headrace.runtime.backlog import Backlogs
from headrace.runtime.clock import now_ms
from headrace.runtime.metrics import Metrics
from headrace.runtime.publisher import Relay
from headrace.runtime.tasks import run_together
from headrace.runtime.tracing import OFF, Tracing
from services.profiles.computed_input import ComputedInput
from services.profiles.holding import Hold, hold_of
from services.profiles.input import Input
from services.profiles.intake import Reader, event_reader
from services.profiles.outcomes import read_outcome
from services.profiles.settings import Settings
from services.profiles.store import TimelineOutbox
from services.profiles.suppression import Suppressor
from services.profiles.ticker import Active, Ticker

RELAY_POLL_SECONDS = 10.0
"""How late at most this process finds rows that another process committed for a partition of ours, when no beat
tells it (the ticker's)."""


def input_topics(settings: Settings) -> list[str]:
    """The inputs whose progress is time. Full names."""
    return [settings.common.topic(topic.name) for topic in (topics.EVENTS, topics.MESSAGES)]


def side_topics(settings: Settings) -> list[str]:
    """The inputs that are no part of time. Full names."""
    return [settings.common.topic(topics.COMPUTED_TRAITS.name)]


class Worker:
    """Runs partitions on behalf of `runtime.partitions.PartitionRunner`. `on_quarantine` is called when a commit
    has put something into quarantine."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        pool: asyncpg.Pool,
        member: Member,
        metrics: Metrics,
        suppressor: Suppressor,
        *,
        on_quarantine: Callable[[], None] | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._settings = settings
        self._log = log
        self._pool = pool
        self._member = member
        self._metrics = metrics
        self._suppressor = suppressor
        self._on_quarantine = on_quarantine
        self._tracing = tracing
        self._active: dict[int, Active] = {}
        self.backlogs = Backlogs(log, metrics)
        self.ticker = Ticker(
            log,
            pool,
            self._active,
            metrics,
            output=settings.common.topic(topics.PROFILE_EVENTS.name),
            interval=settings.tick_ms / 1000,
            wall_clock=now_ms,
        )

    async def work(self, q: int) -> None:
        """Own partition `q` until cancelled, or until one of its loops fails: then all of them stop."""
        events, outcomes = input_topics(self._settings)
        inputs = (
            self._input(events, q, event_reader(self._settings.phone_region, self._settings.identity)),
            self._input(outcomes, q, read_outcome, hold=await hold_of(self._pool, events)),
        )
        relay = Relay(
            self._log,
            TimelineOutbox(self._pool),
            topic=self._settings.common.topic(topics.PROFILE_EVENTS.name),
            partition=q,
            metrics=self._metrics,
            poll=RELAY_POLL_SECONDS,
        )
        self._active[q] = Active(inputs, relay)
        try:
            await run_together(relay.run(), *(one.run() for one in inputs), self._computed(q).run())
        finally:
            del self._active[q]

    def relay(self, q: int) -> Relay | None:
        """The relay of a partition that is ours now."""
        return self._active[q].relay if q in self._active else None

    def wake(self, partitions: Iterable[int]) -> None:
        """Rows were committed for these output partitions: publish those that are ours now."""
        for q in partitions:
            if q in self._active:
                self._active[q].relay.wake()

    def _computed(self, q: int) -> ComputedInput:
        [topic] = side_topics(self._settings)
        return ComputedInput(
            self._log,
            self._pool,
            self._member,
            self._metrics,
            topic=topic,
            q=q,
            dead_letters=self._settings.common.topic(topics.DEAD_LETTERS.name),
            backlog=self.backlogs.of(topic, q),
        )

    def _input(self, topic: str, q: int, read: Reader, *, hold: Hold | None = None) -> Input:
        return Input(
            self._log,
            self._pool,
            self._member,
            self._metrics,
            topic=topic,
            q=q,
            partitions=self._settings.common.partitions,
            read=read,
            dead_letters=self._settings.common.topic(topics.DEAD_LETTERS.name),
            on_commit=self.wake,
            rules=self._settings.identity,
            suppressor=self._suppressor,
            on_quarantine=self._on_quarantine,
            backlog=self.backlogs.of(topic, q),
            tracing=self._tracing,
            hold=hold,
        )
