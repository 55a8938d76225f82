"""One timer for all who look at something now and then: they wake in one turn of the loop, and what they ask of
the log in that turn travels together. A process that wakes often for little is not cheap while idle."""

import asyncio


class Rhythm:
    """Beats at the multiples of `seconds` on the loop's clock, which processes of one machine share."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._beat: asyncio.Event | None = None

    async def next(self) -> None:
        """Return at the next beat, with all others who wait for it."""
        if self._beat is None:
            self._beat = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds - loop.time() % self._seconds, self._strike)
        await self._beat.wait()

    def _strike(self) -> None:
        beat, self._beat = self._beat, None
        if beat is not None:
            beat.set()
