"""The messenger put together on given engines: `main` runs it on real ones, tests with their own clock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import FastAPI

from headrace.contracts.instant import Millis
from headrace.contracts.topics import DEAD_LETTERS, MESSAGES, MESSENGER_GROUP, PROFILE_EVENTS, SEGMENT_CHANGES
from headrace.log.port import Log, Record
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.tasks import run_together
from services.messenger.api import Services, build_app
from services.messenger.campaign_report import CampaignReports
from services.messenger.changes import Changes, DeadLetters
from services.messenger.claims import Claims
from services.messenger.definitions import Definitions
from services.messenger.janitor import Janitor
from services.messenger.journey_list import JourneyList
from services.messenger.learning import Splits
from services.messenger.outbox import OutcomeOutbox
from services.messenger.profile_events import ProfileEvents
from services.messenger.providers.port import Provider
from services.messenger.public import public_routes, unsubscribe_link
from services.messenger.report_routes import Insight, report_routes
from services.messenger.reports import Reports
from services.messenger.segment_report import Audience, SegmentReports
from services.messenger.sender import Sender
from services.messenger.settings import Settings
from services.messenger.split_decider import SplitDecider
from services.messenger.store import Pool, Positions, open_store
from services.messenger.unsubscribe import Unsubscribes
from services.messenger.worker import PartitionWorker


@dataclass(frozen=True, slots=True)
class Messenger:
    """Every part of one messenger process."""

    app: FastAPI
    worker: PartitionWorker
    sender: Sender
    splits: SplitDecider
    janitor: Janitor
    claims: Claims
    unsubscribes: Unsubscribes
    log: Log
    settings: Settings
    metrics: Metrics

    async def follow(self) -> None:
        """Take part in the group and work on the partitions it gives us, until cancelled."""
        common = self.settings.common
        topics = [common.topic(SEGMENT_CHANGES.name), common.topic(PROFILE_EVENTS.name)]
        member = await self.log.join(common.group(MESSENGER_GROUP), topics, common.partitions)
        self.worker.follow(member)
        try:
            runner = PartitionRunner(member, self.worker.work, self.metrics)
            await run_together(runner.run(), self.worker.watch())
        finally:
            await member.leave()

    def background(self) -> list[Awaitable[None]]:
        """What runs beside the HTTP server."""
        return [self.follow(), self.sender.run(), self.splits.run(), self.janitor.run()]


async def assemble(
    settings: Settings,
    log: Log,
    pool: Pool,
    providers: Mapping[str, Provider],
    segmenter: Audience,
    *,
    clock: Callable[[], Millis],
) -> Messenger:
    """Wire the parts. The schema is migrated and the topics exist."""
    common = settings.common
    metrics = Metrics("messenger")
    store = await open_store(pool, common.partitions)
    definitions = Definitions(pool)
    outbox = OutcomeOutbox(pool, partitions=common.partitions, epoch=store.epoch)
    positions = Positions(pool)
    dead_letters = DeadLetters(log, common.topic(DEAD_LETTERS.name), metrics)
    claims = Claims(
        pool,
        definitions,
        outbox,
        providers,
        store.keyring,
        metrics,
        unsubscribe_url=unsubscribe_link(settings.public_url, store.keyring),
        phone_region=settings.phone_region,
        survey_links=settings.survey_links,
    )
    pending, outcome = Signal(), Signal()
    changes = Changes(
        common.topic(SEGMENT_CHANGES.name),
        positions,
        definitions,
        outbox,
        dead_letters,
        metrics,
        clock=clock,
        on_pending=pending,
        on_outcome=outcome,
    )
    profile_events = ProfileEvents(
        common.topic(PROFILE_EVENTS.name),
        positions,
        outbox,
        dead_letters,
        providers,
        clock=clock,
        on_outcome=outcome,
    )

    async def set_aside(record: Record, detail: str) -> None:
        await dead_letters.put(record, "undecodable", detail, clock())

    worker = PartitionWorker(
        log,
        positions,
        outbox,
        (changes, profile_events),
        metrics,
        outcomes_topic=common.topic(MESSAGES.name),
        set_aside=set_aside,
        last_outcomes=outbox.last,
    )
    sender = Sender(claims, providers, clock=clock, on_outcome=outcome, concurrency=settings.send_concurrency)
    janitor = Janitor(
        claims, outbox, clock=clock, keep_ms=common.rollback_horizon_ms, on_pending=pending, on_outcome=outcome
    )
    pending.connect(sender.wake)
    outcome.connect(worker.wake)

    async def database() -> None:
        async with asyncio.timeout(5):
            await pool.fetchval("SELECT 1")

    async def event_log() -> None:
        async with asyncio.timeout(5):
            await log.bounds(common.topic(MESSAGES.name), 0)

    unsubscribes = Unsubscribes(pool, outbox)
    insight = Insight(
        CampaignReports(pool, definitions), JourneyList(pool), SegmentReports(pool, segmenter, clock=clock)
    )
    splits = SplitDecider(Splits(pool, definitions), clock=clock)
    app = build_app(
        Services(definitions, Reports(pool), clock, pending),
        public_routes(unsubscribes, store.keyring, clock=clock, on_outcome=outcome),
        further=[report_routes(insight, definitions)],
        admin_token=common.admin_token,
        metrics=metrics,
        checks={"database": database, "log": event_log},
    )
    return Messenger(app, worker, sender, splits, janitor, claims, unsubscribes, log, settings, metrics)


class Signal:
    """A call that is connected once both sides exist."""

    def __init__(self) -> None:
        self._receiver: Callable[[], None] | None = None

    def connect(self, receiver: Callable[[], None]) -> None:
        self._receiver = receiver

    def __call__(self) -> None:
        if self._receiver is not None:
            self._receiver()
