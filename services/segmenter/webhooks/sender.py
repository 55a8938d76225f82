"""Sends webhooks: claims what is due, hands it to receivers, settles it. Any number of processes may."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.tasks import finish
from headrace.runtime.webhooks.transport import Transport
from services.segmenter.webhooks.claims import Claim, Claims
from services.segmenter.webhooks.deliveries import Deliveries

log = structlog.get_logger()

POLL_SECONDS = 10.0
"""How often to look unasked: another process may have made a delivery and gone before it sent it."""
BLOCKED_SECONDS = 1.0
PRUNE_SECONDS = 3_600.0
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_STOP_SECONDS = 5.0


class Sender:
    """One per process. `wake` it when a delivery was made. What is in flight when it is stopped has five seconds;
    what is cut off then is sent again when its claim has ended."""

    def __init__(
        self,
        claims: Claims,
        transport: Transport,
        *,
        clock: Callable[[], Millis],
        jitter: Callable[[], float],
        concurrency: int,
    ) -> None:
        self._claims = claims
        self._transport = transport
        self._clock = clock
        self._jitter = jitter
        self._concurrency = concurrency
        self._wake = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            await self._run()
        finally:
            await self._stop()

    async def claim_once(self) -> int:
        """Claim as many deliveries as may be in flight, and start sending them; how many."""
        free = self._concurrency - len(self._in_flight)
        return await finish(self._claim_and_start(free)) if free else 0

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                if not await self.claim_once():
                    await self._rest()
                failures = 0
            except Exception as error:
                log.warning("webhook_claim_failed", error=type(error).__name__, exc_info=error)
                await asyncio.sleep(_pause(failures))
                failures += 1

    async def _claim_and_start(self, free: int) -> int:
        claims = await self._claims.claim(free, dict(self._busy), self._clock())
        for claim in claims:
            self._busy[claim.subscription_id] += 1
            task = asyncio.create_task(self._deliver(claim), name="webhook")
            self._in_flight.add(task)
            task.add_done_callback(self._landed)
        return len(claims)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()  # there is room again, and the customer's next change may go

    async def _rest(self) -> None:
        pause = POLL_SECONDS
        due = None if len(self._in_flight) == self._concurrency else await self._claims.next_due()
        if due is not None:
            # due already, and yet not to be had: it waits for another one, or another process has it
            ahead = due - self._clock()
            pause = min(ahead / 1000, POLL_SECONDS) if ahead > 0 else BLOCKED_SECONDS
        # not wait_for: on Python 3.11 it loses a cancellation that meets a wake
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    async def _deliver(self, claim: Claim) -> None:
        try:
            reply = await self._transport.send(claim.webhook, self._clock())
            for attempt in itertools.count():
                try:
                    await self._claims.settle(claim, reply, self._clock(), self._jitter())
                except Exception as error:
                    log.warning("webhook_settle_failed", delivery=claim.id, error=type(error).__name__)
                    await asyncio.sleep(_pause(attempt))
                else:
                    return
        finally:
            self._busy[claim.subscription_id] -= 1
            self._busy += Counter()  # drops what is at zero

    async def _stop(self) -> None:
        if self._in_flight:
            _, left = await asyncio.wait(self._in_flight, timeout=_STOP_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await self._transport.close()


class Pruner:
    """One per process; several do no harm."""

    def __init__(self, deliveries: Deliveries, *, clock: Callable[[], Millis]) -> None:
        self._deliveries = deliveries
        self._clock = clock

    async def run(self) -> None:
        """Forget old deliveries every hour, until cancelled."""
        while True:
            try:
                await self._deliveries.prune(self._clock())
            except Exception as error:
                log.warning("webhook_pruning_failed", error=type(error).__name__, exc_info=error)
            await asyncio.sleep(PRUNE_SECONDS)


def _pause(failures: int) -> float:
    return _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
