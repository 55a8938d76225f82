"""Wiring of the ingest service: reads the environment, chooses adapters, serves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from headrace.contracts.topics import DEAD_LETTERS, EVENTS, PROVIDER_CALLBACKS, TOPICS
from headrace.log.connect import connect_log
from headrace.log.port import Log
from headrace.log.topics import ensure_topics
from headrace.runtime.clock import now_ms
from headrace.runtime.direct import DirectHttpProtocol
from headrace.runtime.entry import run_service
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.lifecycle import serve
from headrace.runtime.metrics import Metrics
from services.ingest.api import build_app
from services.ingest.auth import KeyRing
from services.ingest.budget import Budget
from services.ingest.collector import Collector
from services.ingest.config import TrackingConfig
from services.ingest.dead_letter_routes import dead_letter_router
from services.ingest.dead_letters import DeadLetters
from services.ingest.hook_routes import Hooks, hook_router
from services.ingest.plan import Plan
from services.ingest.plan_routes import plan_router
from services.ingest.replay import Replayer
from services.ingest.settings import IngestSettings, load_settings
from services.ingest.tracking import TrackingApi


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m services.ingest`."""
    return run_service("ingest", arguments, lambda env: _run(load_settings(env)))


async def _run(settings: IngestSettings) -> int:
    common = settings.common
    log = await connect_log(common.log_url, rollback_horizon_ms=common.rollback_horizon_ms)
    try:
        await ensure_topics(log, prefix=common.topic_prefix, partitions=common.partitions)
        app = assemble(log, settings)
        settle_garbage()
        return await serve(app, host=common.host, port=settings.port, http=DirectHttpProtocol)
    finally:
        await log.close()


def assemble(log: Log, settings: IngestSettings) -> TrackingApi:
    """The service on `log`, whose topics exist."""
    common = settings.common
    metrics = Metrics("ingest")
    events_topic = common.topic(EVENTS.name)
    plans = {definition.source: Plan(definition) for definition in settings.plans}
    collector = Collector(
        log,
        events_topic=events_topic,
        dead_letters_topic=common.topic(DEAD_LETTERS.name),
        partitions=common.partitions,
        ack_timeout=settings.ack_timeout,
        metrics=metrics,
        plans=plans,
    )

    async def check_log() -> None:
        await log.bounds(events_topic, 0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await collector.close()

    letters = DeadLetters(log, common.topic(DEAD_LETTERS.name), common.partitions)
    replayer = Replayer(
        log,
        events_topic=events_topic,
        origins=frozenset(common.topic(topic.name) for topic in TOPICS if topic.groups),
        partitions=common.partitions,
        limits=settings.limits,
        metrics=metrics,
        plans=plans,
    )
    hooks = Hooks(
        log,
        common.topic(PROVIDER_CALLBACKS.name),
        common.partitions,
        settings.hooks,
        metrics,
        clock=now_ms,
        ack_timeout=settings.ack_timeout,
    )
    config = TrackingConfig(
        keys=KeyRing(settings.sources),
        limits=settings.limits,
        budget=Budget(settings.buffer_bytes),
        trusted_hops=settings.trusted_hops,
        mappings=settings.mappings,
    )
    return build_app(
        collector,
        config,
        metrics=metrics,
        clock=now_ms,
        check_log=check_log,
        lifespan=lifespan,
        public_url=settings.public_url,
        admin=[
            dead_letter_router(letters, replayer, common.admin_token),
            plan_router(plans, collector.violations, common.admin_token),
            hook_router(hooks),
        ],
    )
