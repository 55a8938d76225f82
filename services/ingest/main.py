"""Wiring of the ingest service: reads the environment, chooses adapters, serves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
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
from headrace.runtime.postgres import connect_pool
from headrace.runtime.rate.guard import RateGuard, rate_limiter
from headrace.runtime.traced import traced_log
from headrace.runtime.tracing import OFF, Tracing, open_tracing
from services.ingest.api import build_app
from services.ingest.budget import Budget
from services.ingest.collector import Collector
from services.ingest.config import TrackingConfig
from services.ingest.dead_letter_routes import dead_letter_router
from services.ingest.dead_letters import DeadLetters
from services.ingest.hook_routes import Hooks, hook_router
from services.ingest.plan import Plan
from services.ingest.plan_routes import plan_router
from services.ingest.rates import IngestRates
from services.ingest.registry import Registry
from services.ingest.replay import Replayer
from services.ingest.settings import IngestSettings, load_settings
from services.ingest.tracking import TrackingApi

SCHEMA = "access"
MIGRATIONS = Path(__file__).parent / "migrations"


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m services.ingest`."""
    return run_service(
        "ingest", arguments, lambda env: _run(load_settings(env)), migrations=MIGRATIONS, schema=SCHEMA
    )


async def _run(settings: IngestSettings) -> int:
    common = settings.common
    tracing = open_tracing("ingest", common.tracing, log_url=common.log_url)
    log = await connect_log(common.log_url, rollback_horizon_ms=common.rollback_horizon_ms)
    pool = await _pool(settings)
    try:
        await ensure_topics(log, prefix=common.topic_prefix, partitions=common.partitions)
        registry = Registry(settings, pool)
        app = assemble(traced_log(log, tracing), settings, registry, tracing)
        settle_garbage()
        return await serve(
            app,
            host=common.host,
            port=settings.port,
            background=registry.background(),
            http=DirectHttpProtocol,
        )
    finally:
        if pool is not None:
            pool.terminate()
        await log.close()
        await tracing.close()


async def _pool(settings: IngestSettings) -> "asyncpg.Pool[asyncpg.Record] | None":
    """Not connected yet: events are taken before Postgres answers."""
    if settings.database_url is None:
        return None
    return await connect_pool(settings.database_url, schema=SCHEMA, min_size=0, max_size=6)


def assemble(
    log: Log, settings: IngestSettings, registry: Registry | None = None, tracing: Tracing = OFF
) -> TrackingApi:
    """The service on `log`, whose topics exist. Without `registry` the settings' keys and token are all."""
    common = settings.common
    registry = registry or Registry(settings)
    metrics = Metrics("ingest")
    tracing.count_in(metrics)
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

    limiter = rate_limiter(settings.guard, metrics)
    rates = IngestRates(limiter, settings.rates)

    async def check_log() -> None:
        await log.bounds(events_topic, 0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await collector.close()
        await rates.close()

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
        keys=registry.keys,
        limits=settings.limits,
        budget=Budget(settings.buffer_bytes),
        rates=rates,
        trusted_hops=settings.trusted_hops,
        mappings=settings.mappings,
    )
    return build_app(
        collector,
        config,
        metrics=metrics,
        clock=now_ms,
        checks={"log": check_log, "access": registry.check},
        access=registry.access,
        lifespan=lifespan,
        public_url=settings.public_url,
        tracing=tracing,
        guard=lambda app: RateGuard(app, limiter, settings.guard, metrics),
        admin=[
            dead_letter_router(letters, replayer),
            plan_router(plans, collector.violations),
            hook_router(hooks),
            registry.routes(),
        ],
    )
