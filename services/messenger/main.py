"""Starts the messenger: chooses adapters, serves until told to stop."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from headrace.log.connect import connect_log
from headrace.log.topics import ensure_topics
from headrace.runtime.clock import now_ms
from headrace.runtime.entry import run_service
from headrace.runtime.lifecycle import serve
from headrace.runtime.postgres import connect_pool
from services.messenger.assembly import assemble
from services.messenger.providers.choose import choose_providers
from services.messenger.segmenter import Segmenter
from services.messenger.settings import Settings, read_settings

SCHEMA = "messenger"
MIGRATIONS = Path(__file__).parent / "migrations"
_POOL_SIZE = 16
_SEGMENTER_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m services.messenger [migrate]`."""
    return run_service(SCHEMA, arguments, lambda env: run(read_settings(env)), migrations=MIGRATIONS)


async def run(settings: Settings) -> int:
    """Serve until stopped."""
    common = settings.common
    channels = choose_providers(settings.providers, now_ms)
    log = await connect_log(common.log_url, rollback_horizon_ms=common.rollback_horizon_ms)
    pool = await connect_pool(settings.database_url, schema=SCHEMA, max_size=_POOL_SIZE)
    client = httpx.AsyncClient(
        base_url=settings.segmenter_url,
        headers={"Authorization": f"Bearer {common.admin_token}"},
        timeout=_SEGMENTER_SECONDS,
    )
    try:
        await ensure_topics(log, prefix=common.topic_prefix, partitions=common.partitions)
        messenger = await assemble(settings, log, pool, channels, Segmenter(client), clock=now_ms)
        return await serve(messenger.app, host=common.host, port=settings.port, background=messenger.background())
    finally:
        for channel in channels.values():
            await channel.close()
        await client.aclose()
        await log.close()
        await asyncio.wait_for(pool.close(), 10)
