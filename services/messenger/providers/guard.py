"""The providers of a channel, each with its rate and its breaker: how much may be sent now, and by which one."""

from collections.abc import Callable, Sequence

import structlog

from headrace.contracts.instant import Millis
from services.messenger.providers.breaker import Breaker
from services.messenger.providers.bucket import Bucket
from services.messenger.providers.port import NotSent, Provider, SendResult, Unsure

log = structlog.get_logger()

UNLIMITED = 1_000_000.0
"""A rate that nobody reaches."""
THROTTLED_MS = 1_000
"""The pause of a provider that says "too many" without saying how long."""
LONGEST_THROTTLE_MS = 60_000


class Guarded:
    """One provider. Channels that it serves share it, so that its rate is kept over all of them.

    `rate` is in messages per second and process. Without `breaks` it has no breaker: its failures are those of the
    receiver, not of the way there.
    """

    def __init__(self, provider: Provider, now: Millis, *, rate: float = UNLIMITED, breaks: bool = True) -> None:
        self.provider = provider
        self._bucket = Bucket(rate, now)
        self._breaker = Breaker() if breaks else None

    def usable(self, now: Millis) -> bool:
        """False while the breaker is open."""
        return self._breaker is None or self._breaker.room(now) != 0

    @property
    def down(self) -> bool:
        """From a breaker's opening to its closing."""
        return self._breaker is not None and not self._breaker.closed

    def room(self, now: Millis) -> int:
        room = self._bucket.room(now)
        probe = self._breaker.room(now) if self._breaker else None
        return room if probe is None else min(room, probe)

    def next_at(self, now: Millis) -> Millis:
        waits = self._breaker.next_at(now) if self._breaker else now
        return max(waits, self._bucket.next_at(now))

    def began(self, count: int, now: Millis) -> None:
        """So many messages are handed over."""
        self._bucket.take(count, now)
        if self._breaker is not None and count:
            self._breaker.began(now)

    def observe(self, result: SendResult, now: Millis) -> None:
        if isinstance(result, NotSent) and result.concerns == "rate":
            pause = THROTTLED_MS if result.retry_after_ms is None else result.retry_after_ms
            self._bucket.shut(now + min(pause, LONGEST_THROTTLE_MS))
        if self._breaker is not None:
            self._judge(self._breaker, result, now)

    def _judge(self, breaker: Breaker, result: SendResult, now: Millis) -> None:
        was_closed = breaker.closed
        if isinstance(result, Unsure) or (isinstance(result, NotSent) and result.concerns == "provider"):
            breaker.failed(now)
        else:
            breaker.succeeded()
        if breaker.closed != was_closed:
            log.warning("provider_breaker", provider=self.provider.name, closed=breaker.closed)


class Channel:
    """One way to reach a customer. The first provider whose breaker is not open is used; the others wait for that.

    Used by one sender of one event loop.
    """

    def __init__(self, name: str, guarded: Sequence[Guarded], clock: Callable[[], Millis]) -> None:
        """Names of providers differ within a channel: claims are told apart by them."""
        self.name = name
        self._guarded = tuple(guarded)
        self._by_name = {one.provider.name: one for one in self._guarded}
        self._clock = clock
        if not self._guarded or len(self._by_name) != len(self._guarded):
            raise ValueError(f"the channel {name} needs providers with different names")

    @property
    def providers(self) -> Sequence[Provider]:
        return [one.provider for one in self._guarded]

    def free(self, limit: int) -> int:
        """How many messages may be claimed now, at most `limit`; 0 while every breaker is open, or the rate is
        reached."""
        return max(0, min(limit, self._chosen().room(self._clock())))

    @property
    def next_free_at(self) -> Millis:
        """When `free` may be more than 0: now, or later."""
        now = self._clock()
        usable = [one for one in self._guarded if one.usable(now)]
        return usable[0].next_at(now) if usable else min(one.next_at(now) for one in self._guarded)

    def provider(self) -> Provider:
        """Who is to send what is claimed now."""
        return self._chosen().provider

    def began(self, provider_name: str, count: int) -> None:
        """So many messages were claimed for this provider, and are handed to it."""
        self._by_name[provider_name].began(count, self._clock())

    def observe(self, provider_name: str, result: SendResult) -> None:
        """What a provider said to one message."""
        self._by_name[provider_name].observe(result, self._clock())

    def down(self, provider_name: str) -> bool:
        """Whether the provider's breaker has opened and not closed again."""
        return self._by_name[provider_name].down

    async def forget(self, message_ids: Sequence[str]) -> None:
        """Of every provider: which one has a message may have changed. Raises OSError: repeat."""
        for one in self._guarded:
            await one.provider.forget(message_ids)

    async def close(self) -> None:
        """Idempotent, also where channels share a provider."""
        for one in self._guarded:
            await one.provider.close()

    def _chosen(self) -> Guarded:
        now = self._clock()
        return next((one for one in self._guarded if one.usable(now)), self._guarded[0])
