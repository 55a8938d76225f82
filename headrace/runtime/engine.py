"""SQLAlchemy's engine, for services that build their queries with SQLAlchemy Core."""

from collections.abc import Mapping

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def async_engine(
    url: str, *, schema: str, pool_size: int = 4, settings: Mapping[str, str] | None = None
) -> AsyncEngine:
    """SQLAlchemy on asyncpg by the same `postgresql://…` URL, and the same look-up of names, as the pool's.
    `settings` are further ones of the server's for its connections."""

    async def connect() -> asyncpg.Connection:
        usual = {"search_path": schema, "timezone": "UTC", "application_name": f"headrace-{schema}-api"}
        return await asyncpg.connect(
            url, timeout=10, command_timeout=30, server_settings={**usual, **(settings or {})}
        )

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=pool_size, pool_pre_ping=True
    )
