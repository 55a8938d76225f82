import pytest

from tests.unit.ingest.service import Ingest, start_ingest


@pytest.fixture
async def ingest() -> Ingest:
    return await start_ingest()
