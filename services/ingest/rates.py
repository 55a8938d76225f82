"""How much of a source and of an address is taken in a time: limits by write key and by client address."""

from dataclasses import dataclass
from functools import lru_cache

from headrace.contracts.errors import ApiError
from headrace.runtime.client_address import counted_address
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.limiter import RateLimiter
from headrace.runtime.rate.settings import BURST_SECONDS
from services.ingest.auth import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """`public` and `server`: events of a source of this kind that has no rate of its own. `address`: requests of
    one address, those with a server's key apart. None: no limit."""

    public: Rate | None = None
    server: Rate | None = None
    address: Rate | None = None

    def of(self, source: Source) -> Rate | None:
        if source.rate is not None:
            return _own_rate(source.rate)
        return self.server if source.trusted else self.public


@lru_cache(maxsize=1_024)
def _own_rate(per_second: float) -> Rate:
    return Rate(per_second, max(1, round(per_second * BURST_SECONDS)))


class IngestRates:
    """Asked before anything is done for a request."""

    def __init__(self, limiter: RateLimiter, settings: RateSettings) -> None:
        self._limiter = limiter
        self._settings = settings

    def address_wait(self, source: Source | None, address: str | None) -> int:
        """0, or the seconds to wait. A server sends for all its customers from one address: with its key,
        addresses are not counted."""
        rate = self._settings.address
        if rate is None or (source is not None and source.trusted):
            return 0
        return self._limiter.take("address", counted_address(address), rate)

    def source_wait(self, source: Source, events: int) -> int:
        """0, or the seconds to wait."""
        rate = self._settings.of(source)
        return 0 if rate is None else self._limiter.take("source", source.name, rate, events)

    def take_address(self, source: Source | None, address: str | None) -> None:
        """Raises ApiError 429."""
        if wait := self.address_wait(source, address):
            raise self._limiter.refusal("address", wait)

    def take_source(self, source: Source, events: int) -> None:
        """Raises ApiError 429: SDKs keep what they have and send it again after Retry-After."""
        if wait := self.source_wait(source, events):
            raise self._limiter.refusal("source", wait)

    def refuse(self, error: ApiError, address: str | None) -> ApiError:
        """What to answer to a key that is not known: who tries keys is counted like who sends."""
        wait = self.address_wait(None, address)
        return self._limiter.refusal("address", wait) if wait else error

    async def close(self) -> None:
        """Idempotent."""
        await self._limiter.close()
