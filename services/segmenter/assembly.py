"""The segmenter put together on given engines: `main` runs it on real ones, tests on their own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import asyncpg
import httpx
from fastapi import FastAPI

from headrace.contracts.topics import (
    COMPUTED_TRAITS,
    DEAD_LETTERS,
    PROFILE_EVENTS,
    SEGMENT_CHANGES,
    SEGMENT_MEMBERSHIPS,
    SEGMENTER_GROUP,
)
from headrace.log.port import Log
from headrace.log.topics import has_topic
from headrace.runtime.access.guard import Access
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.process_metrics import watch_pool
from headrace.runtime.republish import republish_router
from headrace.runtime.tasks import run_together
from headrace.runtime.tracing import OFF, Tracing
from services.segmenter.access import RULES
from services.segmenter.api import Services, build_app, sending
from services.segmenter.controls import Controls
from services.segmenter.cut_points import CutPointKeeper
from services.segmenter.definitions import Definitions
from services.segmenter.export_routes import export_router
from services.segmenter.follower import FollowedTopics, Followers, Handler
from services.segmenter.forecast import Forecast
from services.segmenter.forget_routes import forget_router
from services.segmenter.forgetting import Forgetting
from services.segmenter.history_routes import comparison_router, history_router
from services.segmenter.inspection import Inspection
from services.segmenter.members import Members
from services.segmenter.membership_history import MembershipHistory
from services.segmenter.membership_log import MembershipLog
from services.segmenter.membership_topic import MembershipTopic
from services.segmenter.publications import Publications
from services.segmenter.recount import Recount
from services.segmenter.redis_client import Client
from services.segmenter.repair_routes import rebuild_router
from services.segmenter.reporter import Reporter
from services.segmenter.rfm_routes import rfm_router
from services.segmenter.schema_routes import schema_router
from services.segmenter.settings import Settings
from services.segmenter.standing import Standings
from services.segmenter.state_memory import StateMemory
from services.segmenter.store import RedisStore
from services.segmenter.subscription_routes import subscription_router
from services.segmenter.timeline import PostgresTimeline
from services.segmenter.trait_definitions import TraitDefinitions
from services.segmenter.trait_preview import TraitPreview
from services.segmenter.trait_routes import trait_router
from services.segmenter.trait_verification import TraitVerification
from services.segmenter.verification import Verification
from services.segmenter.versions import Versions
from services.segmenter.webhooks.assembly import Webhooks, assemble_webhooks
from services.segmenter.worker import PartitionWorker, Topics


@dataclass(frozen=True, slots=True)
class Segmenter:
    """Every part of one segmenter process."""

    app: FastAPI
    worker: PartitionWorker
    controls: Controls
    cut_points: CutPointKeeper
    reporter: Reporter
    memory: StateMemory
    webhooks: Webhooks
    log: Log
    settings: Settings
    metrics: Metrics

    async def follow(self) -> None:
        """Take part in the group and work on the partitions it gives us, until cancelled."""
        common = self.settings.common
        topics = [common.topic(topic.name) for topic in (PROFILE_EVENTS, SEGMENT_CHANGES)]
        member = await self.log.join(common.group(SEGMENTER_GROUP), topics, common.partitions)
        self.worker.follow(member)
        try:
            backlogs = self.worker.backlogs
            runner = PartitionRunner(member, self.worker.work, self.metrics, forget=backlogs.forget)
            await run_together(runner.run(), backlogs.run(common.stall_seconds))
        finally:
            await member.leave()

    def background(self) -> list[Awaitable[None]]:
        """What runs beside the HTTP server."""
        return [
            self.follow(),
            self.controls.run(),
            self.cut_points.run(),
            self.reporter.run(),
            self.memory.run(),
            *self.webhooks.background(),
        ]


def assemble(
    settings: Settings,
    log: Log,
    pool: "asyncpg.Pool[asyncpg.Record]",
    reader: Client,
    writer: Client,
    profiles: httpx.AsyncClient,
    *,
    clock: Callable[[], int],
    tracing: Tracing = OFF,
) -> Segmenter:
    """Wire the parts. The schema is migrated and the topics exist; `writer` does not retry."""
    common = settings.common
    topics = Topics(
        common.topic(PROFILE_EVENTS.name),
        common.topic(SEGMENT_CHANGES.name),
        common.topic(COMPUTED_TRAITS.name),
        common.topic(DEAD_LETTERS.name),
    )
    metrics = Metrics("segmenter")
    watch_pool(metrics, pool)
    tracing.count_in(metrics)
    definitions = Definitions(pool, common.partitions)
    controls = Controls(pool, definitions, profiles)
    cut_points = CutPointKeeper(pool, controls, metrics, clock=clock)
    reporter = Reporter(definitions, controls, metrics, clock=clock)
    store, timeline = RedisStore(reader, writer), PostgresTimeline(pool)
    publications = Publications(pool, log, topics.segment_changes)
    computed = Publications(pool, log, topics.computed_traits, "published_trait")
    followed = FollowedTopics(topics.segment_changes, topics.dead_letters)
    webhooks = assemble_webhooks(settings.webhooks, pool, metrics, clock=clock)
    handlers = [*_handlers(settings, log, metrics), webhooks.handler]
    followers = Followers(log, pool, handlers, metrics, followed)
    worker = PartitionWorker(
        log,
        reader,
        store,
        timeline,
        publications,
        computed,
        reporter,
        followers,
        metrics,
        topics,
        clock=clock,
        tracing=tracing,
    )
    members = Members(reader, common.partitions)
    history = MembershipHistory(pool, members, clock=clock)
    inspection = Inspection(members, timeline, pool)
    count = common.partitions
    standings, recount = Standings(reader, common.partitions), Recount(pool)

    async def database() -> None:
        await asyncio.wait_for(pool.fetchval("SELECT 1"), 5)

    async def state() -> None:
        await asyncio.wait_for(cast(Awaitable[Any], reader.ping()), 5)

    async def event_log() -> None:
        await asyncio.wait_for(log.bounds(topics.profile_events, 0), 5)

    app = build_app(
        Services(
            definitions,
            Versions(pool, common.partitions),
            controls,
            members,
            inspection,
            history,
            cut_points,
            Forecast(standings, recount, cut_points, pool),
            Verification(standings, recount, inspection, controls, metrics, clock=clock),
            profiles,
        ),
        access=Access.by_root("segmenter", RULES, common.admin_token, trusted_hops=settings.guard.trusted_hops),
        metrics=metrics,
        checks={"database": database, "state": state, "log": event_log},
        first=[comparison_router(definitions, reader, partitions=count)],
    )
    traits, preview = TraitDefinitions(pool, count), TraitPreview(standings, recount)
    trait_verification = TraitVerification(standings, recount)
    app.include_router(trait_router(traits, preview, trait_verification, members, inspection, sending(controls)))
    app.include_router(schema_router())
    app.include_router(history_router(definitions, members, inspection, history))
    app.include_router(export_router(definitions, members, history, pool))
    app.include_router(subscription_router(webhooks))
    app.include_router(republish_router(worker.repairs.relay, partitions=count))
    app.include_router(rebuild_router(worker.repairs, store, partitions=count))
    app.include_router(forget_router(Forgetting(pool, writer, store, count), definitions))
    app.include_router(rfm_router(cut_points, definitions))
    memory = StateMemory(reader, metrics)
    return Segmenter(app, worker, controls, cut_points, reporter, memory, webhooks, log, settings, metrics)


def _handlers(settings: Settings, log: Log, metrics: Metrics) -> list[Handler]:
    """What builds on published changes, in this order."""
    handlers: list[Handler] = [MembershipLog()]
    if has_topic(settings.common.log_url, SEGMENT_MEMBERSHIPS):
        topic = settings.common.topic(SEGMENT_MEMBERSHIPS.name)
        handlers.append(MembershipTopic(log, topic, metrics))
    return handlers
