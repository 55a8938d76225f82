"""Sends what is due: claims messages, hands them to providers, settles them. Any number of processes may."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from headrace.contracts.instant import Millis
from headrace.runtime.failpoints import failpoint
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import finish
from services.messenger.batcher import Batcher
from services.messenger.claims import Claim, Claimed, Claims, Settlement
from services.messenger.providers.guard import Channel
from services.messenger.providers.port import SendResult, Unsure

log = structlog.get_logger()

_POLL_SECONDS = 1.0
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_STOP_SECONDS = 10.0
_VAIN_WAKES = 3
_GATHER_SECONDS = 0.02


class Sender:
    """One per channel and process, so that a provider that is down leaves the other channels alone. `wake` it when
    a message became pending; others' messages, and those whose pause is over, it finds within a second. At most
    `concurrency` messages are claimed at a time, so that a crash leaves no more in doubt.
    """

    def __init__(
        self,
        claims: Claims,
        channel: Channel,
        metrics: Metrics,
        *,
        clock: Callable[[], Millis],
        on_outcome: Callable[[], None],
        concurrency: int,
    ) -> None:
        self._claims = claims
        self.channel = channel
        self._metrics = metrics
        self._clock = clock
        self._on_outcome = on_outcome
        self._concurrency = concurrency
        self._wake = asyncio.Event()
        self._vain = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._settlements: Batcher[Settlement, bool] = Batcher(self._settle)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; then finish what was claimed."""
        try:
            await self._run()
        finally:
            if self._in_flight:
                await asyncio.wait(self._in_flight, timeout=_STOP_SECONDS)

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                more = await self._turn()
                failures = 0
                if not more:
                    await self._rest()
            except Exception as error:
                log.warning("claim_failed", error=type(error).__name__, exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1

    async def _turn(self) -> bool:
        """Claim. Whoever makes a message pending wakes the senders of all channels: one that was woken in vain a
        few times gathers wakes, and looks before it claims."""
        if self._vain > _VAIN_WAKES:
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            if not await self._any_due():
                return False
        return await self.claim_once()

    async def claim_once(self) -> bool:
        """Claim as many messages as may be in flight and start sending them. True when more may be due, and may be
        sent."""
        free = self._free()
        if free == 0:
            return False
        claimed: Claimed = await finish(self._claim_and_start(free))
        self._vain = 0 if claimed.due else self._vain + 1
        if claimed.due > len(claimed.claims):
            self._on_outcome()
        return claimed.due == free

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _claim_and_start(self, free: int) -> Claimed:
        failpoint("before_claim")
        claimed = await self._claims.claim(self.channel.name, free, self._clock())
        if claimed.claims:
            failpoint("after_claim")
        for provider, count in Counter(claim.provider.name for claim in claimed.claims).items():
            self.channel.began(provider, count)
        for claim in claimed.claims:
            task = asyncio.create_task(self._deliver(claim), name=f"send-{claim.channel}")
            self._in_flight.add(task)
            task.add_done_callback(self._landed)
        return claimed

    def _landed(self, task: asyncio.Task[None]) -> None:
        if len(self._in_flight) == self._concurrency:
            self._wake.set()  # there is room again
        self._in_flight.discard(task)

    async def _rest(self) -> None:
        """Until woken, or until a look finds something due that may be sent."""
        while not self._wake.is_set():
            # not wait_for: on Python 3.11 it loses a cancellation that meets a wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            if not self._wake.is_set() and self._free() and await self._any_due():
                return

    def _free(self) -> int:
        """How many messages may be claimed."""
        return self.channel.free(self._concurrency - len(self._in_flight))

    async def _any_due(self) -> bool:
        return await self._claims.any_due(self.channel.name, self._clock())

    def _pause(self) -> float:
        """Seconds to the next look: not before the channel is free, and not much later."""
        ahead = (self.channel.next_free_at - self._clock()) / 1000
        return min(ahead, _POLL_SECONDS) if ahead > 0 else _POLL_SECONDS

    async def _deliver(self, claim: Claim) -> None:
        result = await self._send(claim)
        self._observe(claim.provider.name, result)
        for attempt in itertools.count():
            try:
                await self._settlements.submit(Settlement(claim, result))
            except Exception as error:
                # what the provider said must not be lost while this process lives
                log.warning("settle_failed", message_id=claim.outgoing.id, error=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            else:
                return

    def _observe(self, provider: str, result: SendResult) -> None:
        self.channel.observe(provider, result)
        self._metrics.provider_down.labels(self.channel.name, provider).set(self.channel.down(provider))

    async def _send(self, claim: Claim) -> SendResult:
        failpoint("before_send")
        try:
            result = await claim.provider.send(claim.outgoing)
        except Exception as error:
            log.error("provider_failed", message_id=claim.outgoing.id, error=type(error).__name__, exc_info=error)
            return Unsure("provider_error")
        failpoint("after_send")
        return result

    async def _settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        failpoint("before_confirm")
        done = await self._claims.settle(settlements, self._clock())
        failpoint("after_confirm")
        self._on_outcome()
        return done
