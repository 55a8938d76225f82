"""A backup of the messenger's schema, put back while the log goes on: what `pg_restore` does to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from headrace.contracts.message import MessageOutcome
from headrace.contracts.topics import MESSAGES
from headrace.local.restored import raise_epochs
from headrace.local.services import installed_services
from headrace.runtime.tasks import run_together
from services.messenger.assembly import Messenger
from services.messenger.refill import _decoded
from tests.unit.messenger.rig import PARTITIONS, Rig

_TABLES = """
    SELECT tablename FROM pg_tables WHERE schemaname = 'messenger' AND tablename <> 'alembic_version'
    ORDER BY tablename
"""


class Backup:
    """Of the schema `messenger`. `take` replaces an earlier one."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def take(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute("DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup")
        for (table,) in await connection.fetch(_TABLES):
            await connection.execute(f"CREATE TABLE backup.{table} AS TABLE messenger.{table}")
        await connection.close()

    async def restore(self, *, note: bool = True) -> None:
        """Put it back; with `note` as one is told to: `headrace restored`."""
        connection = await asyncpg.connect(self._url)
        tables = [f"messenger.{table}" for (table,) in await connection.fetch(_TABLES)]
        await connection.execute("SET session_replication_role = replica; TRUNCATE " + ", ".join(tables))
        for table in tables:
            copy = table.replace("messenger.", "backup.")
            await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {copy}")
        await connection.close()
        if note:
            await self.note()

    async def note(self) -> None:
        """`headrace restored`, in this schema; the test's own pool stands for no service."""
        ours = [service for service in installed_services() if service.name == "messenger"]
        connection = await asyncpg.connect(self._url)
        await raise_epochs(connection, ours)
        await connection.close()


@asynccontextmanager
async def whole(rig: Rig) -> AsyncIterator[Messenger]:
    """A messenger process with everything that runs in one."""
    messenger = await rig.assemble()
    task = asyncio.ensure_future(run_together(*messenger.background()))
    try:
        yield messenger
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(rig: Rig) -> list[MessageOutcome]:
    """Every outcome on the log, of all epochs."""
    found = []
    for partition in range(PARTITIONS):
        for record in await rig.log.read(rig.topic_prefix + MESSAGES.name, partition, 0):
            decoded = _decoded(record)
            if isinstance(decoded, MessageOutcome):
                found.append(decoded)
    return found
