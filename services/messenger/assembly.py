"""The messenger put together on given engines: `main` runs it on real ones, tests with their own clock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from headrace.contracts.topics import (
    DEAD_LETTERS,
    MESSAGES,
    MESSENGER_GROUP,
    PROFILE_EVENTS,
    PROVIDER_CALLBACKS,
    SEGMENT_CHANGES,
)
from headrace.log.port import Log, Record
from headrace.runtime.access.guard import Access
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.process_metrics import watch_pool
from headrace.runtime.republish import republish_router
from headrace.runtime.tasks import run_together
from headrace.runtime.tracing import OFF, Tracing
from services.messenger.access import RULES
from services.messenger.api import HiddenSegments, Services, build_app
from services.messenger.awards import Awards
from services.messenger.callbacks import Callbacks
from services.messenger.campaign_report import CampaignReports
from services.messenger.changes import Changes, DeadLetters
from services.messenger.claims import Claims
from services.messenger.definitions import Definitions
from services.messenger.direct import Direct
from services.messenger.hits import Hits
from services.messenger.inbound import Inbox
from services.messenger.inbound_routes import inbound_routes
from services.messenger.intake import Intake
from services.messenger.janitor import Janitor
from services.messenger.journey_list import JourneyList
from services.messenger.journey_runner import JourneyRunner
from services.messenger.journeys import Journeys, Memberships
from services.messenger.learning import Splits, winners
from services.messenger.ledger_watch import LedgerWatch
from services.messenger.links import PublicLinks
from services.messenger.moves import Moves
from services.messenger.outbox import OutcomeOutbox
from services.messenger.pool_watch import PoolWatch
from services.messenger.preferences import Preferences
from services.messenger.preview import Previews
from services.messenger.preview_routes import preview_routes
from services.messenger.profile_events import ProfileEvents
from services.messenger.providers.guard import Channel
from services.messenger.public import Public, public_routes
from services.messenger.recovery import Recovery
from services.messenger.refill import Refill
from services.messenger.report_routes import Insight, report_routes
from services.messenger.reports import Reports
from services.messenger.run_worker import RunWorker
from services.messenger.runs import Audiences, Runs
from services.messenger.segment_report import SegmentReports
from services.messenger.sender import Sender
from services.messenger.settings import Settings
from services.messenger.shared_routes import shared_routes
from services.messenger.signing_keys import SigningKeys, signing_key_routes
from services.messenger.split_decider import SplitDecider
from services.messenger.store import Pool, Positions, open_store
from services.messenger.suppression_routes import suppression_routes
from services.messenger.survey_urls import without_token
from services.messenger.trial import Trials
from services.messenger.unsubscribe import Unsubscribes
from services.messenger.voucher_codes import VoucherCodes
from services.messenger.voucher_routes import voucher_routes
from services.messenger.vouchers import Vouchers
from services.messenger.worker import PartitionWorker


@dataclass(frozen=True, slots=True)
class Messenger:
    """Every part of one messenger process."""

    app: FastAPI
    worker: PartitionWorker
    senders: Sequence[Sender]
    journeys: Journeys
    runner: JourneyRunner
    runs: RunWorker
    moves: Moves
    intake: Intake
    splits: SplitDecider
    janitor: Janitor
    claims: Claims
    unsubscribes: Unsubscribes
    pool_watch: PoolWatch
    ledger_watch: LedgerWatch
    signing_keys: SigningKeys
    refill: Refill
    recovery: Recovery
    log: Log
    settings: Settings
    metrics: Metrics

    async def follow(self) -> None:
        """Take part in the group and work on the partitions it gives us, until cancelled."""
        common = self.settings.common
        topics = [common.topic(one.name) for one in (SEGMENT_CHANGES, PROFILE_EVENTS, PROVIDER_CALLBACKS)]
        member = await self.log.join(common.group(MESSENGER_GROUP), topics, common.partitions)
        self.worker.follow(member)
        try:
            backlogs = self.worker.backlogs
            runner = PartitionRunner(member, self.worker.work, self.metrics, forget=backlogs.forget)
            watching = backlogs.run(common.stall_seconds)
            await run_together(runner.run(), self.worker.watch(), watching)
        finally:
            await member.leave()

    def background(self) -> list[Awaitable[None]]:
        """What runs beside the HTTP server."""
        return [self._work(), self.pool_watch.run(), self.ledger_watch.run(), self.signing_keys.run()]

    async def _work(self) -> None:
        """Nothing is applied or sent before the ledger knows what the log knows."""
        await self.refill.wait()
        await run_together(
            self.follow(),
            *(sender.run() for sender in self.senders),
            self.runner.run(),
            self.runs.run(),
            self.splits.run(),
            self.janitor.run(),
            self.recovery.run(),
        )


async def assemble(
    settings: Settings,
    log: Log,
    pool: Pool,
    channels: Mapping[str, Channel],
    segmenter: "SegmenterPort",
    *,
    clock: Callable[[], Millis],
    tracing: Tracing = OFF,
) -> Messenger:
    """Wire the parts. `channels` is all there are, by name. The schema is migrated and the topics exist."""
    common = settings.common
    metrics = Metrics("messenger")
    watch_pool(metrics, pool)
    tracing.count_in(metrics)
    store = await open_store(pool, common.partitions, clock())
    definitions = Definitions(pool)
    outbox = OutcomeOutbox(pool, partitions=common.partitions, epoch=store.epoch)
    positions = Positions(pool)
    dead_letters = DeadLetters(log, common.topic(DEAD_LETTERS.name), metrics)
    pending, due, outcome = Signal(), Signal(), Signal()
    links = PublicLinks(settings.public_url, store.keyring)
    claims = Claims(
        pool,
        definitions,
        outbox,
        channels,
        store.keyring,
        metrics,
        links=links,
        phone_region=settings.phone_region,
        survey_links=settings.survey_links,
        on_followed=due,
    )
    intake = Intake(definitions, outbox, metrics, on_pending=pending, on_due=due, on_outcome=outcome)
    changes = Changes(
        common.topic(SEGMENT_CHANGES.name), positions, definitions, intake, dead_letters, clock=clock
    )
    direct = Direct()
    callbacks = Callbacks(
        common.topic(PROVIDER_CALLBACKS.name),
        positions,
        definitions,
        outbox,
        Inbox(store.keyring, direct),
        dead_letters,
        metrics,
        clock=clock,
        on_due=due,
        on_outcome=outcome,
    )
    vouchers = Vouchers(definitions)
    profile_events = ProfileEvents(
        common.topic(PROFILE_EVENTS.name),
        positions,
        definitions,
        intake,
        dead_letters,
        channels,
        Awards(vouchers.assign),
        clock=clock,
    )
    journeys = Journeys(pool, definitions, outbox, segmenter, assign=vouchers.assign, winners=winners)
    runner = JourneyRunner(journeys, clock=clock, on_pending=pending, on_outcome=outcome)
    runs = RunWorker(Runs(pool, definitions, segmenter, intake), clock=clock)

    async def set_aside(record: Record, detail: str) -> None:
        await dead_letters.put(record, "undecodable", detail, clock())

    worker = PartitionWorker(
        log,
        positions,
        outbox,
        (changes, profile_events, callbacks),
        metrics,
        outcomes_topic=common.topic(MESSAGES.name),
        set_aside=set_aside,
        last_outcomes=outbox.last,
        tracing=tracing,
    )
    senders = [
        Sender(
            claims,
            channel,
            metrics,
            clock=clock,
            on_outcome=outcome,
            concurrency=settings.send_concurrency,
            tracing=tracing,
        )
        for channel in channels.values()
    ]
    wake_senders = wake_all(*(sender.wake for sender in senders))
    janitor = Janitor(
        claims,
        outbox,
        pool,
        clock=clock,
        keep_ms=common.rollback_horizon_ms,
        on_pending=pending,
        on_outcome=outcome,
    )
    pending.connect(wake_senders)
    due.connect(wake_all(wake_senders, runner.wake))
    outcome.connect(worker.wake)

    refill = Refill(
        pool, log, definitions, metrics, topic=common.topic(MESSAGES.name), partitions=common.partitions
    )
    recovery = Recovery(
        pool,
        definitions,
        outbox,
        store.keyring,
        clock=clock,
        phone_region=settings.phone_region,
        on_due=wake_all(wake_senders, runner.wake),
        on_outcome=outcome,
    )

    async def refilled() -> None:
        if not refill.done.is_set():
            raise HeadraceError("the ledger is reading from the log what was sent since the backup")

    async def database() -> None:
        async with asyncio.timeout(5):
            await pool.fetchval("SELECT 1")

    async def event_log() -> None:
        async with asyncio.timeout(5):
            await log.bounds(common.topic(MESSAGES.name), 0)

    previews = Previews(
        pool,
        definitions,
        public_url=settings.public_url,
        phone_region=settings.phone_region,
        survey_links=settings.survey_links,
    )
    trials = Trials(pool, previews, channels, store.keyring, clock=clock, phone_region=settings.phone_region)
    moves = Moves(pool, definitions)
    unsubscribes = Unsubscribes(pool, outbox)
    preferences = Preferences(
        pool,
        definitions,
        outbox,
        store.keyring,
        phone_region=settings.phone_region,
        on_outcome=outcome,
    )
    hits = Hits(
        pool, outbox, shown=lambda target: without_token(target, settings.survey_links), on_outcome=outcome
    )
    insight = Insight(
        CampaignReports(pool, definitions), JourneyList(pool), SegmentReports(pool, segmenter, clock=clock)
    )
    signing_keys = SigningKeys(pool, store.keyring, clock=clock)
    splits = SplitDecider(Splits(pool, definitions), clock=clock)
    app = build_app(
        Services(definitions, Reports(pool), segmenter, moves, clock, due),
        public_routes(Public(unsubscribes, preferences, hits, links), clock=clock, on_outcome=outcome),
        further=[
            report_routes(insight, definitions),
            suppression_routes(pool, store.keyring, clock=clock, phone_region=settings.phone_region),
            inbound_routes(pool, direct, clock=clock, on_pending=pending),
            voucher_routes(definitions, VoucherCodes(pool), clock=clock),
            shared_routes(definitions, clock=clock),
            preview_routes(definitions, previews, trials),
            signing_key_routes(signing_keys, clock=clock),
        ],
        access=Access.by_root("messenger", RULES, common.admin_token, trusted_hops=settings.guard.trusted_hops),
        metrics=metrics,
        checks={"database": database, "log": event_log, "refilled": refilled},
    )
    app.include_router(republish_router(worker.relay, partitions=common.partitions))
    return Messenger(
        app,
        worker,
        senders,
        journeys,
        runner,
        runs,
        moves,
        intake,
        splits,
        janitor,
        claims,
        unsubscribes,
        PoolWatch(pool, metrics, clock=clock),
        LedgerWatch(pool, metrics, clock=clock),
        signing_keys,
        refill,
        recovery,
        log,
        settings,
        metrics,
    )


class SegmenterPort(Memberships, Audiences, HiddenSegments, Protocol):
    """All that the messenger asks the segmenter."""


def wake_all(*wakes: Callable[[], None]) -> Callable[[], None]:
    def wake() -> None:
        for each in wakes:
            each()

    return wake


class Signal:
    """A call that is connected once both sides exist."""

    def __init__(self) -> None:
        self._receiver: Callable[[], None] | None = None

    def connect(self, receiver: Callable[[], None]) -> None:
        self._receiver = receiver

    def __call__(self) -> None:
        if self._receiver is not None:
            self._receiver()
