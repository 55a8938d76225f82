"""What must stand before the services start: topics and schemas. A process of its own, started beside the
engines, so that its imports (half a second) pass while they start.

    python -m headrace.local.prepare PATIENCE SCHEMA=FOLDER…

`PATIENCE`: how many seconds it waits for the engines to answer. Each FOLDER has a service's Alembic migrations;
they run in the order given, since later ones read the views of earlier ones.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg

from headrace.contracts.errors import HeadraceError
from headrace.log.connect import connect_log
from headrace.log.port import LogUnavailable
from headrace.log.topics import ensure_topics
from headrace.runtime.entry import log_unhandled
from headrace.runtime.logging import configure_logging
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import StoreUnavailable
from headrace.runtime.settings import Environment, common_settings

_PAUSE_SECONDS = 0.05


async def create_topics(env: Environment) -> None:
    """Create what is missing, check the rest. Raises LogUnavailable while the log does not answer."""
    settings = common_settings(env)
    log = await connect_log(settings.log_url, rollback_horizon_ms=settings.rollback_horizon_ms)
    try:
        await ensure_topics(log, prefix=settings.topic_prefix, partitions=settings.partitions)
    finally:
        await log.close()


async def reach(url: str) -> None:
    """Connect to Postgres once. Raises StoreUnavailable while it does not answer."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(f"cannot connect to Postgres: {error}") from error
    await connection.close()


async def patiently(action: Callable[[], Awaitable[None]], patience: float) -> None:
    """Repeat `action` while its engine does not answer, for so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return await action()
        except (StoreUnavailable, LogUnavailable):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def prepare(env: Environment, patience: float, schemas: Sequence[tuple[str, Path]]) -> None:
    """Topics, then schemas."""
    url = env.text("HEADRACE_DATABASE_URL")
    await patiently(lambda: create_topics(env), patience)
    await patiently(lambda: reach(url), patience)
    for schema, scripts in schemas:
        await migrate(url, schema=schema, scripts=scripts)


def main(arguments: Sequence[str]) -> int:
    patience, *schemas = arguments
    configure_logging("up", json=False)
    log_unhandled()  # SQLAlchemy's errors show statements with their values
    parts = [item.partition("=") for item in schemas]
    try:
        asyncio.run(
            prepare(Environment(os.environ), float(patience), [(name, Path(path)) for name, _, path in parts])
        )
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
