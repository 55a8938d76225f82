"""Fixtures of the messenger's tests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.messenger.reasons import SKIP_REASONS
from tests.unit.messenger.rig import CAMPAIGN, SMS, Rig, empty_database, open_rig, prepare_database

_DATABASE = "messenger_tests"


@pytest.fixture(scope="session")
def messenger_database(postgres_url: str) -> str:
    """URL of one database with the messenger's schema, for all its tests: migrating is the slow part."""

    async def create() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f"CREATE DATABASE {_DATABASE}")
        await connection.close()

    url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{_DATABASE}"))
    asyncio.run(create())
    asyncio.run(prepare_database(url))
    return url


@pytest.fixture
async def rig(messenger_database: str, log_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Empty engines with a live SMS campaign on the segment `vip`. Whatever a test does, no message is skipped for
    a reason that nobody can read."""
    await empty_database(messenger_database)
    async with open_rig(messenger_database, log_url, tmp_path) as rig:
        await rig.define(SMS, CAMPAIGN)
        yield rig
        skipped = await rig.pool.fetch("SELECT DISTINCT reason FROM message WHERE status = 'skipped'")
        assert {row["reason"] for row in skipped} <= set(SKIP_REASONS)
