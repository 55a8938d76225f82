"""Starts the segmenter: chooses adapters, serves until told to stop."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from headrace.log.connect import connect_log
from headrace.log.topics import ensure_topics
from headrace.runtime.access.stored import StoredTokens
from headrace.runtime.clock import now_ms
from headrace.runtime.entry import run_service
from headrace.runtime.garbage import settle_garbage
from headrace.runtime.lifecycle import serve
from headrace.runtime.postgres import connect_pool
from headrace.runtime.rate.guard import guarded
from headrace.runtime.traced import traced_app, traced_log
from headrace.runtime.tracing import open_tracing
from services.segmenter.assembly import assemble
from services.segmenter.eviction import require_noeviction, watch_eviction
from services.segmenter.redis_client import connect
from services.segmenter.settings import Settings, read_settings

SCHEMA = "segmenter"
MIGRATIONS = Path(__file__).parent / "migrations"
PROFILES_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m services.segmenter [migrate]`."""
    return run_service(SCHEMA, arguments, lambda env: run(read_settings(env)), migrations=MIGRATIONS)


async def run(settings: Settings) -> int:
    """Serve until stopped."""
    common = settings.common
    reader, writer = connect(settings.redis_url), connect(settings.redis_url, retries=0)
    bearer = {"Authorization": f"Bearer {common.admin_token}"}
    tracing = open_tracing(SCHEMA, common.tracing, log_url=common.log_url)
    log = traced_log(await connect_log(common.log_url, rollback_horizon_ms=common.rollback_horizon_ms), tracing)
    pool = await connect_pool(settings.database_url, schema=SCHEMA)
    profiles = httpx.AsyncClient(base_url=settings.profiles_url, headers=bearer, timeout=PROFILES_SECONDS)
    try:
        await require_noeviction(reader)
        await ensure_topics(log, prefix=common.topic_prefix, partitions=common.partitions)
        segmenter = assemble(settings, log, pool, reader, writer, profiles, clock=now_ms, tracing=tracing)
        tokens = StoredTokens(segmenter.app.state.access, pool)
        settle_garbage()
        background = [*segmenter.background(), *tokens.background(), watch_eviction(reader)]
        async with guarded(segmenter.app, settings.guard, segmenter.metrics) as app:
            return await serve(
                traced_app(app, tracing), host=common.host, port=settings.port, background=background
            )
    finally:
        await profiles.aclose()
        await reader.aclose()
        await writer.aclose()
        await log.close()
        await asyncio.wait_for(pool.close(), 10)
        await tracing.close()
