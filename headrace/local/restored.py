"""`headrace restored`: tells the schemas that their database was restored from a backup (DESIGN §4.3)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from headrace.contracts.errors import HeadraceError
from headrace.local.data_folder import DataFolder
from headrace.local.engines import choose_engines
from headrace.local.errors import StartFailed
from headrace.local.output import LogFile
from headrace.local.postgres import Postgres
from headrace.local.process import Process, describe_end
from headrace.local.services import Service
from headrace.local.settings import up_settings
from headrace.runtime.postgres import StoreUnavailable

_READY_SECONDS = 60.0
_PROBE_SECONDS = 0.1
_STOP_SECONDS = 20.0
_ACTIVE = """
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'headrace-%' ORDER BY application_name
"""
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname = ANY($1::text[])"


class ServicesRun(HeadraceError):
    """A service still works on the database."""


class OldSchema(HeadraceError):
    """The schemas are of a version that does not know of restores."""


class NeverUsed(HeadraceError):
    """The database has no schema of ours."""


async def note_restored(url: str, services: Sequence[Service]) -> None:
    """Raise the epochs in one transaction over all schemas. Raises ServicesRun, NeverUsed or StoreUnavailable."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(f"cannot connect to Postgres: {error}") from error
    try:
        await _check(connection, [service.schema for service in services if service.restoration is not None])
        await raise_epochs(connection, services)
    finally:
        await connection.close()


async def raise_epochs(connection: "asyncpg.Connection[asyncpg.Record]", services: Sequence[Service]) -> None:
    """What `note_restored` does once it has looked whether it may."""
    try:
        async with connection.transaction():
            for service in services:
                if service.restoration is not None:
                    await connection.execute(f'SET LOCAL search_path = "{service.schema}"')
                    await connection.execute(service.restoration.read_text("utf-8"))
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise OldSchema("the backup is of an older version: run `headrace migrate` first") from error


async def _check(connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]) -> None:
    active = [row["application_name"] for row in await connection.fetch(_ACTIVE)]
    if active:
        raise ServicesRun(f"{', '.join(active)} still work on this database: stop all services first")
    rows = await connection.fetch(_SCHEMAS, schemas)
    missing = sorted(set(schemas) - {row["nspname"] for row in rows})
    if missing:
        raise NeverUsed(f"the database has no schema {', '.join(missing)}: restore the backup first")


@asynccontextmanager
async def embedded_postgres(values: Mapping[str, str]) -> AsyncIterator[str]:
    """The URL of the Postgres in `up`'s data folder, which runs as long as the context. Raises a HeadraceError
    when `up` runs there, or never did."""
    settings = up_settings(values)
    folder = DataFolder.open(settings.data_dir)
    try:
        deployment = folder.deployment(settings.partitions, default=settings.default_partitions)
        engines = choose_engines(settings, folder, deployment).embedded
        postgres = next(engine for engine in engines if isinstance(engine, Postgres))
        if not postgres.initialized:
            raise NeverUsed(f"{settings.data_dir} has no database: restore the copy of the folder first")
        log = LogFile(folder.logs / "postgres.log")
        try:
            process = await Process.start(postgres.prepare(folder.run), lock=folder.lock, write=log.write)
            try:
                await _serving(postgres, process)
                yield postgres.url
            finally:
                await process.stop(_STOP_SECONDS)
        finally:
            log.close()
    finally:
        folder.close()


async def _serving(postgres: Postgres, process: Process) -> None:
    """Return once it answers."""
    ended = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not await asyncio.to_thread(postgres.answers):
                if ended.done():
                    raise StartFailed(f"Postgres failed: {describe_end(ended.result(), process.tail)}")
                await asyncio.sleep(_PROBE_SECONDS)
    except TimeoutError:
        raise StartFailed(f"Postgres does not answer within {_READY_SECONDS:.0f} s") from None
    finally:
        ended.cancel()
