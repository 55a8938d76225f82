"""The loop that has splits decided, until cancelled."""

import asyncio
from collections.abc import Callable

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.tasks import finish
from services.messenger.learning import Splits

log = structlog.get_logger()

_LOOK_MS = 60_000
_SOON_MS = 1_000


class SplitDecider:
    """One per process; any number of processes may."""

    def __init__(self, splits: Splits, *, clock: Callable[[], Millis]) -> None:
        self._splits = splits
        self._clock = clock

    async def run(self) -> None:
        while True:
            pause = _LOOK_MS
            try:
                await finish(self._splits.look(self._clock()))
                pause = pause_ms(self._clock(), await self._splits.next_due())
            except Exception as error:
                log.warning("splits_failed", error=type(error).__name__, exc_info=error)
            await asyncio.sleep(pause / 1000)


def pause_ms(now: Millis, due: Millis | None) -> Millis:
    """Until the next look: a minute, or less when a decision is due before."""
    return _LOOK_MS if due is None else min(max(due - now, _SOON_MS), _LOOK_MS)
