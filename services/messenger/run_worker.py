"""The loop that begins runs over audiences and works on them, until cancelled."""

import asyncio
from collections.abc import Callable

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.tasks import finish
from services.messenger.runs import Runs
from services.messenger.segmenter import SegmenterUnavailable

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class RunWorker:
    """One per process; any number of processes may."""

    def __init__(self, runs: Runs, *, clock: Callable[[], Millis]) -> None:
        self.runs = runs
        self._clock = clock

    async def run(self) -> None:
        while True:
            pause = _LOOK_SECONDS
            try:
                await self.look()
            except SegmenterUnavailable as error:
                log.warning("audience_unavailable", error=str(error))
                pause = _RETRY_SECONDS
            except Exception as error:
                log.warning("runs_failed", error=type(error).__name__, exc_info=error)
                pause = _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Begin what is due, and work until no run is open."""
        await finish(self.runs.begin(self._clock()))
        while await finish(self.runs.work(self._clock())):
            pass
