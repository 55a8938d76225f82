"""Fixtures of the webhooks' tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.runtime.migrations import migrate
from services.segmenter.main import MIGRATIONS, SCHEMA
from tests import deployment
from tests.e2e.webhooks.rig import Process, WebhookRig, webhook_rig
from tests.webhook_receiver import Receiver, receiver


@pytest.fixture(scope="session")
def webhook_database(postgres_url: str) -> Iterator[str]:
    """URL of one database with the segmenter's schema, for all these tests: migrating is the slow part."""
    with deployment.database(postgres_url) as url:
        asyncio.run(migrate(url, schema=SCHEMA, scripts=MIGRATIONS))
        yield url


@pytest.fixture
async def rig(webhook_database: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(webhook_database) as rig:
        yield rig


@pytest.fixture
async def hooks() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


@pytest.fixture
async def process(rig: WebhookRig) -> AsyncIterator[Process]:
    async with rig.process(timeout=0.5) as process:
        yield process
