"""Housekeeping: recovers claims of processes that are gone, forgets outcomes published long ago, and choices that
the profile service has heard."""

import asyncio
from collections.abc import Callable

import structlog

from headrace.contracts.instant import Millis
from services.messenger.claims import Claims
from services.messenger.outbox import OutcomeOutbox
from services.messenger.stated_preferences import drop_heard
from services.messenger.store import Pool

log = structlog.get_logger()

_RECOVER_SECONDS = 5.0
_TRIM_EVERY = 12


class Janitor:
    """One per process; several do no harm."""

    def __init__(
        self,
        claims: Claims,
        outbox: OutcomeOutbox,
        pool: Pool,
        *,
        clock: Callable[[], Millis],
        keep_ms: Millis,
        on_pending: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self._claims = claims
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._keep_ms = keep_ms
        self._on_pending = on_pending
        self._on_outcome = on_outcome

    async def run(self) -> None:
        """Look every five seconds until cancelled."""
        rounds = 0
        while True:
            try:
                await self.recover()
                await drop_heard(self._pool)
                if rounds % _TRIM_EVERY == 0:
                    await self._outbox.trim(self._clock() - self._keep_ms)
            except Exception as error:
                log.warning("housekeeping_failed", error=type(error).__name__, exc_info=error)
            rounds += 1
            await asyncio.sleep(_RECOVER_SECONDS)

    async def recover(self) -> None:
        recovered = await self._claims.recover(self._clock())
        if recovered.pending:
            self._on_pending()
        if recovered.unknown:
            self._on_outcome()
