"""Alembic without an ini file: each service migrates its own schema, its version table included.

python -m headrace.runtime.migrations SCHEMA FOLDER
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from headrace.contracts.errors import HeadraceError
from headrace.runtime.engine import async_engine
from headrace.runtime.entry import log_unhandled
from headrace.runtime.logging import configure_logging
from headrace.runtime.settings import Environment

log = structlog.get_logger()

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('headrace-migrate'))"


async def migrate(url: str, *, schema: str, scripts: Path) -> None:
    """Bring `schema` to the newest revision in the folder `scripts`, in one transaction. Idempotent; two at a
    time wait for each other. A schema that a later release has made is left as it is: this release can use it,
    since migrations only add until nobody reads what they would take away."""
    engine = async_engine(url, schema=schema, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, schema, scripts)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, schema: str, scripts: Path) -> None:
    connection.execute(text(_LOCK))
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    revision = MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        log.warning("schema_is_newer", schema=schema, revision=revision)
        return
    command.upgrade(config, "head")


def run_on_connection() -> None:
    """What a service's `migrations/env.py` calls: run on the connection that `migrate` opened."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        version_table_schema=attributes["schema"],
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def main(arguments: Sequence[str]) -> int:
    schema, scripts = arguments
    env = Environment(os.environ)
    configure_logging(schema, json=env.text("HEADRACE_LOG_FORMAT", "json") == "json")
    log_unhandled()  # SQLAlchemy's errors show statements with their values
    try:
        url = env.text("HEADRACE_DATABASE_URL")
        asyncio.run(migrate(url, schema=schema, scripts=Path(scripts)))
    except HeadraceError as error:
        sys.stderr.write(f"{schema}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
