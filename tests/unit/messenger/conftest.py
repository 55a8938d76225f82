"""Fixtures of the messenger's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.messenger.rig import CAMPAIGN, SMS, Rig, open_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Engines with a live SMS campaign on the segment `vip`."""
    async with open_rig(database_url, log_url, tmp_path) as rig:
        await rig.define(SMS, CAMPAIGN)
        yield rig
