"""The asyncpg pool every service uses: time-outs everywhere, since a dead socket wedges a pool for ever."""

from collections.abc import Mapping

import asyncpg

from headrace.contracts.errors import HeadraceError


class StoreUnavailable(HeadraceError):
    """Postgres did not answer. Check HEADRACE_DATABASE_URL and that the server runs."""


async def connect_pool(
    url: str, *, schema: str, min_size: int = 1, max_size: int = 8, settings: Mapping[str, str] | None = None
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool whose connections look up names in `schema`; `settings` are further ones of the server's for them.
    With a `min_size` of 0 nothing is connected before it is needed. Raises StoreUnavailable with the
    address, not the password."""
    try:
        return await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            timeout=10,
            command_timeout=30,
            max_inactive_connection_lifetime=300,
            reset=_nothing_to_reset,
            server_settings={
                "search_path": schema,
                "application_name": f"headrace-{schema}",
                "statement_timeout": "30000",
                "idle_in_transaction_session_timeout": "60000",
                "timezone": "UTC",
                "jit": "off",
                **(settings or {}),
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"cannot connect to Postgres: {error}") from error


async def _nothing_to_reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """asyncpg has rolled back what was open. We leave no listeners, advisory locks or settings in a session: the
    round trip of asyncpg's own reset, after every single query, is saved."""
