"""What stands in the schema `access`, kept in memory: read again at every change of it, and every few seconds."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

log = structlog.get_logger()

CHANNEL = "headrace_access"
POLL_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_PATIENCE = 10.0
FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

Load = Callable[["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"], Awaitable[float]]
"""Reads what is followed; the seconds after which it must be read again."""


async def follow(pool: "asyncpg.Pool[asyncpg.Record]", load: Load) -> None:
    """Call `load` at once, at every notice and when it wants to, until cancelled. While Postgres does not answer,
    nothing is called: what was read stays."""
    failing = False
    while True:
        try:
            await _listen(pool, load)
        except Exception as error:  # whatever it is: a service without Postgres goes on with what it knows
            if not failing:
                log.warning("access_not_read", exc_info=error)
            failing = True
        else:
            failing = False
        await asyncio.sleep(_RETRY_SECONDS)


async def _listen(pool: "asyncpg.Pool[asyncpg.Record]", load: Load) -> None:
    """Follow on one connection, until it is lost."""
    changed = asyncio.Event()

    def notice(*_: object) -> None:
        changed.set()

    async with pool.acquire(timeout=_PATIENCE) as connection:
        await connection.add_listener(CHANNEL, notice)
        connection.add_termination_listener(notice)
        try:
            while not connection.is_closed():
                changed.clear()
                pause = await load(connection)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await changed.wait()
        finally:
            connection.remove_termination_listener(notice)
            with contextlib.suppress(*FAILURES):
                await connection.remove_listener(CHANNEL, notice)
