"""The loop that takes journeys on when they are due, until cancelled."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.tasks import finish
from services.messenger.journeys import Journeys, Stepped

log = structlog.get_logger()

_BATCH = 200
_POLL_SECONDS = 1.0
_RETRY_SECONDS = 1.0


class JourneyRunner:
    """One per process; any number of processes may. `wake` it when a journey became due here; what becomes due by
    time, or elsewhere, it finds within a second."""

    def __init__(
        self,
        journeys: Journeys,
        *,
        clock: Callable[[], Millis],
        on_pending: Callable[[], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self._journeys = journeys
        self._clock = clock
        self._on_pending = on_pending
        self._on_outcome = on_outcome
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self.step():
                    pass
                await self._rest()
            except Exception as error:
                log.warning("journeys_failed", error=type(error).__name__, exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self) -> bool:
        """Take a batch on. True when more may be due."""
        done: Stepped = await finish(self._journeys.step(_BATCH, self._clock()))
        if done.messages:
            self._on_pending()
        if done.outcomes:
            self._on_outcome()
        return done.due == _BATCH

    async def _rest(self) -> None:
        """Until woken, or until a look finds something due."""
        while not self._wake.is_set():
            # not wait_for: on Python 3.11 it loses a cancellation that meets a wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()
            if not self._wake.is_set() and await self._journeys.any_due(self._clock()):
                return
