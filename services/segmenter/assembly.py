"""The segmenter put together on given engines: `main` runs it on real ones, tests on their own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import asyncpg
import httpx
from fastapi import FastAPI

from headrace.contracts.topics import DEAD_LETTERS, PROFILE_EVENTS, SEGMENT_CHANGES, SEGMENTER_GROUP
from headrace.log.port import Log
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.republish import republish_router
from services.segmenter.api import Services, build_app
from services.segmenter.controls import Controls
from services.segmenter.definitions import Definitions
from services.segmenter.inspection import Inspection
from services.segmenter.members import Members
from services.segmenter.outbox import Publications
from services.segmenter.redis_client import Client
from services.segmenter.repair_routes import rebuild_router
from services.segmenter.reporter import Reporter
from services.segmenter.settings import Settings
from services.segmenter.store import RedisStore
from services.segmenter.timeline import PostgresTimeline
from services.segmenter.worker import PartitionWorker, Topics


@dataclass(frozen=True, slots=True)
class Segmenter:
    """Every part of one segmenter process."""

    app: FastAPI
    worker: PartitionWorker
    controls: Controls
    reporter: Reporter
    log: Log
    settings: Settings
    metrics: Metrics

    async def follow(self) -> None:
        """Take part in the group and work on the partitions it gives us, until cancelled."""
        common = self.settings.common
        member = await self.log.join(
            common.group(SEGMENTER_GROUP), [common.topic(PROFILE_EVENTS.name)], common.partitions
        )
        self.worker.follow(member)
        try:
            await PartitionRunner(member, self.worker.work, self.metrics).run()
        finally:
            await member.leave()

    def background(self) -> list[Awaitable[None]]:
        """What runs beside the HTTP server."""
        return [self.follow(), self.controls.run(), self.reporter.run()]


def assemble(
    settings: Settings,
    log: Log,
    pool: "asyncpg.Pool[asyncpg.Record]",
    reader: Client,
    writer: Client,
    profiles: httpx.AsyncClient,
    *,
    clock: Callable[[], int],
) -> Segmenter:
    """Wire the parts. The schema is migrated and the topics exist; `writer` does not retry."""
    common = settings.common
    topics = Topics(
        common.topic(PROFILE_EVENTS.name), common.topic(SEGMENT_CHANGES.name), common.topic(DEAD_LETTERS.name)
    )
    metrics = Metrics("segmenter")
    definitions = Definitions(pool, common.partitions)
    controls = Controls(pool, definitions, profiles)
    reporter = Reporter(definitions, controls, metrics, clock=clock)
    store, timeline = RedisStore(reader, writer), PostgresTimeline(pool)
    publications = Publications(pool, log, topics.segment_changes)
    worker = PartitionWorker(log, reader, store, timeline, publications, reporter, metrics, topics, clock=clock)
    members = Members(reader, common.partitions)

    async def database() -> None:
        await asyncio.wait_for(pool.fetchval("SELECT 1"), 5)

    async def state() -> None:
        await asyncio.wait_for(cast(Awaitable[Any], reader.ping()), 5)

    async def event_log() -> None:
        await asyncio.wait_for(log.bounds(topics.profile_events, 0), 5)

    app = build_app(
        Services(definitions, controls, members, Inspection(members, timeline, pool), profiles),
        admin_token=common.admin_token,
        metrics=metrics,
        checks={"database": database, "state": state, "log": event_log},
    )
    count, token = common.partitions, common.admin_token
    app.include_router(republish_router(worker.repairs.relay, partitions=count, admin_token=token))
    app.include_router(rebuild_router(worker.repairs, store, partitions=count, admin_token=token))
    return Segmenter(app, worker, controls, reporter, log, settings, metrics)
