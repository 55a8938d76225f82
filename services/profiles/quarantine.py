"""Takes apart what an identifier in quarantine had held together. The work list is in the store, so nothing is
forgotten when a process ends; several processes may work on it, since taking apart again changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from headrace.runtime.tasks import finish

log = structlog.get_logger()

LOOK_SECONDS = 30.0
"""How late at most we find what another process has put into quarantine and not taken apart."""
_PAGE = 100

_WAITING = """
    SELECT type, value FROM identifier
    WHERE NOT taken_apart AND (type, value) > ($1, $2) ORDER BY type, value LIMIT $3
"""
TakeApart = Callable[[str, str], Awaitable[int]]
"""Splits the profile that has this identifier (type, value) into what is left without it, and takes it off the
work list; how many profiles that made. Doing it again changes nothing."""


class Quarantine:
    """The loop. `look_seconds`: how often it looks without being woken."""

    def __init__(self, pool: asyncpg.Pool, take_apart: TakeApart, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._pool = pool
        self._take_apart = take_apart
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was put into quarantine."""
        self._woken.set()

    async def run(self) -> None:
        """Work for ever. An engine that does not answer costs a round, not the process."""
        while True:
            self._woken.clear()
            try:
                await self.work()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("quarantine_waits", error=type(error).__name__)
            try:
                async with asyncio.timeout(self._look_seconds):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def work(self) -> None:
        """Go through the work list once. What fails is tried again in the next round, and stops nothing else."""
        after = "", ""
        while page := await self._pool.fetch(_WAITING, *after, _PAGE):
            for kind, value in page:
                await self._settle(kind, value)
            after = page[-1]["type"], page[-1]["value"]

    async def _settle(self, kind: str, value: str) -> None:
        try:
            made = await finish(self._take_apart(kind, value))
        except (asyncpg.InterfaceError, OSError):
            raise
        except Exception:
            # one customer whom we cannot take apart must not keep us from the others, nor end the service
            log.exception("taking_apart_failed", type=kind)
            return
        log.info("taken_apart", type=kind, profiles=made)
