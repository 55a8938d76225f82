"""Going back to an earlier release: its `migrate` finds a schema that it does not know, and leaves it alone."""

import shutil
from pathlib import Path

from sqlalchemy import text

from headrace.runtime.engine import async_engine
from headrace.runtime.migrations import migrate

SCRIPTS = Path(__file__).parents[3] / "services" / "segmenter" / "migrations"


async def revision(url: str) -> str:
    engine = async_engine(url, schema="segmenter", pool_size=1)
    try:
        async with engine.connect() as connection:
            found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            return str(found)
    finally:
        await engine.dispose()


def release(folder: Path, *, without: int) -> Path:
    """The migrations of a release that lacks so many of the newest."""
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    versions = sorted((folder / "versions").glob("*.py"))
    for path in versions[len(versions) - without :]:
        path.unlink()
    return folder


async def test_an_earlier_release_leaves_a_newer_schema_alone(database_url: str, tmp_path: Path) -> None:
    before, later = release(tmp_path / "before", without=1), release(tmp_path / "later", without=0)
    await migrate(database_url, schema="segmenter", scripts=before)
    old = await revision(database_url)
    await migrate(database_url, schema="segmenter", scripts=later)
    new = await revision(database_url)
    assert new != old
    await migrate(database_url, schema="segmenter", scripts=before)
    assert await revision(database_url) == new
