"""Starts the profile service: chooses adapters, wires the parts together."""

import asyncio
from collections.abc import Sequence

import httpx
import structlog

from headrace.contracts.errors import HeadraceError
from headrace.contracts.topics import DEAD_LETTERS, PROFILE_EVENTS, PROFILES_GROUP
from headrace.log.connect import connect_log
from headrace.log.topics import ensure_topics
from headrace.runtime.access.stored import StoredTokens
from headrace.runtime.engine import async_engine
from headrace.runtime.entry import run_service
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.lifecycle import serve
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionRunner
from headrace.runtime.process_metrics import watch_pool
from headrace.runtime.rate.guard import guarded
from headrace.runtime.republish import republish_router
from headrace.runtime.traced import traced_app, traced_log
from headrace.runtime.tracing import open_tracing
from services.profiles.api import build_api
from services.profiles.computed_sql import initialise_side
from services.profiles.elsewhere import OtherServices
from services.profiles.erasing_again import ErasingAgain
from services.profiles.fading import Fading
from services.profiles.quarantine import Quarantine
from services.profiles.readers import Segmenter
from services.profiles.reads import Profiles
from services.profiles.redaction import Redaction
from services.profiles.settings import Settings, read_settings
from services.profiles.store import MIGRATIONS, PLANS, SCHEMA, SERVICE, connect, initialise
from services.profiles.suppression_sql import open_suppressor
from services.profiles.unmerging import take_apart
from services.profiles.worker import Worker, input_topics, side_topics

log = structlog.get_logger()

POOL_SIZE = 12
OTHERS_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m services.profiles [migrate]`."""
    return run_service(SERVICE, arguments, lambda env: run(read_settings(env)), migrations=MIGRATIONS)


async def run(settings: Settings) -> int:
    """Serve until stopped."""
    common = settings.common
    topics, beside = input_topics(settings), side_topics(settings)
    metrics = Metrics(SERVICE)
    tracing = open_tracing(SERVICE, common.tracing, log_url=common.log_url)
    tracing.count_in(metrics)
    connected = await connect_log(common.log_url, rollback_horizon_ms=common.rollback_horizon_ms)
    event_log = traced_log(connected, tracing)
    pool = await connect(settings.database_url, max_size=POOL_SIZE)
    watch_pool(metrics, pool)
    engine = async_engine(settings.database_url, schema=SCHEMA, settings=PLANS)
    bearer = {"Authorization": f"Bearer {common.admin_token}"}
    segmenter = httpx.AsyncClient(base_url=settings.segmenter_url, headers=bearer, timeout=OTHERS_SECONDS)
    messenger = httpx.AsyncClient(base_url=settings.messenger_url, headers=bearer, timeout=OTHERS_SECONDS)
    try:
        await ensure_topics(event_log, prefix=common.topic_prefix, partitions=common.partitions)
        await initialise(pool, topics, common.partitions)
        await initialise_side(pool, beside, common.partitions)
        member = await event_log.join(common.group(PROFILES_GROUP), [*topics, *beside], common.partitions)

        suppressor = await open_suppressor(pool, settings.suppression_key)

        async def split(kind: str, value: str) -> int:
            made = await take_apart(pool, kind, value, common.partitions, settings.identity, suppressor)
            worker.wake(range(common.partitions))
            return made

        quarantine = Quarantine(pool, split)
        worker = Worker(
            settings,
            event_log,
            pool,
            member,
            metrics,
            suppressor,
            on_quarantine=quarantine.wake,
            tracing=tracing,
        )

        erasing = ErasingAgain(
            pool,
            event_log,
            suppressor,
            events=topics[0],
            output=common.topic(PROFILE_EVENTS.name),
            partitions=common.partitions,
            on_erased=lambda: worker.wake(range(common.partitions)),
        )

        async def erased_again() -> None:
            if not erasing.ready.is_set():
                raise HeadraceError("people who were erased after the backup are being erased again")

        async def work() -> None:
            await erasing.ready.wait()
            await runner.run()

        async def database() -> None:
            await pool.fetchval("SELECT 1")

        async def event_log_answers() -> None:
            await event_log.bounds(topics[0], 0)

        app = build_api(
            settings,
            pool=pool,
            profiles=Profiles(engine),
            wake=worker.wake,
            suppressor=suppressor,
            elsewhere=OtherServices(segmenter, messenger),
            metrics=metrics,
            checks={"database": database, "log": event_log_answers, "erasures": erased_again},
        )
        app.include_router(republish_router(worker.relay, partitions=common.partitions))
        tokens = StoredTokens(app.state.access, pool)
        settle_garbage()
        runner = PartitionRunner(member, worker.work, metrics, forget=worker.backlogs.forget)
        redaction = Redaction(
            pool,
            event_log,
            Segmenter(segmenter),
            dead_letters=common.topic(DEAD_LETTERS.name),
            partitions=common.partitions,
            horizon_ms=common.rollback_horizon_ms,
        )
        fading = Fading(pool, Segmenter(segmenter), settings.retention_ms, partitions=common.partitions)
        background = [
            erasing.run(),
            work(),
            worker.ticker.run(),
            worker.backlogs.run(common.stall_seconds),
            quarantine.run(),
            redaction.run(),
            fading.run(),
            *tokens.background(),
        ]
        async with guarded(app, settings.guard, metrics) as shown:
            return await serve(
                traced_app(shown, tracing), host=common.host, port=settings.port, background=background
            )
    finally:
        await segmenter.aclose()
        await messenger.aclose()
        await event_log.close()
        await engine.dispose()
        await asyncio.wait_for(pool.close(), 10)
        await tracing.close()
