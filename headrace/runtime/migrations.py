"""Alembic without an ini file: each service migrates its own schema, its version table included."""

from pathlib import Path

import asyncpg
from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('headrace-migrate'))"


def async_engine(url: str, *, schema: str, pool_size: int = 4) -> AsyncEngine:
    """SQLAlchemy on asyncpg by the same `postgresql://…` URL, and the same look-up of names, as the pool's."""

    async def connect() -> asyncpg.Connection:
        settings = {"search_path": schema, "timezone": "UTC", "application_name": f"headrace-{schema}-api"}
        return await asyncpg.connect(url, timeout=10, command_timeout=30, server_settings=settings)

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=pool_size, pool_pre_ping=True
    )


async def migrate(url: str, *, schema: str, scripts: Path) -> None:
    """Bring `schema` to the newest revision in the folder `scripts`, in one transaction. Idempotent; two at a
    time wait for each other."""
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
