"""`headrace restored` where Postgres is the embedded one: it runs only as long as that takes."""

from pathlib import Path

import asyncpg
import pytest

from headrace.local.data_folder import DataFolder
from headrace.local.engines import choose_engines
from headrace.local.postgres import Postgres
from headrace.local.restored import NeverUsed, embedded_postgres
from headrace.local.settings import up_settings
from tests.engines import data_folder, initialize

pytestmark = pytest.mark.embedded


def make_cluster(values: dict[str, str]) -> Path:
    """What a first `headrace up` leaves."""
    settings = up_settings(values)
    folder = DataFolder.open(settings.data_dir)
    try:
        deployment = folder.deployment(None, default=4)
        engines = choose_engines(settings, folder, deployment).embedded
        [postgres] = [engine for engine in engines if isinstance(engine, Postgres)]
        initialize(postgres, folder.run)
        return postgres.placement.cluster
    finally:
        folder.close()


async def test_the_database_of_a_stopped_up_is_started_and_stopped() -> None:
    with data_folder() as folder:
        values = {"HEADRACE_DATA_DIR": str(folder / "data")}
        with pytest.raises(NeverUsed, match="restore the copy of the folder first"):
            async with embedded_postgres(values):
                raise AssertionError("there is no database")
        cluster = make_cluster(values)
        async with embedded_postgres(values) as url:
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("SELECT current_database()") == "postgres"
            await connection.close()
        assert not (cluster / "postmaster.pid").exists()
