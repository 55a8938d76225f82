"""Decides at once whether a request may pass; behind that, leases tokens of the shared buckets."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import structlog

from headrace.contracts.errors import ApiError
from headrace.runtime.metrics import Metrics
from headrace.runtime.rate.allowance import Allowance
from headrace.runtime.rate.bucket import Grant, Rate
from headrace.runtime.rate.buckets import Buckets, BucketsUnavailable, Lease, LocalBuckets

log = structlog.get_logger()

MAX_KEYS = 50_000
MAX_LEASES = 200
PAUSE_MS = 1_000
"""After a Redis that did not answer, the processes count for themselves so long before it is asked again."""


class RateLimiter:
    """All limits of one process. `clock` is monotonic, in milliseconds. `shared` None: this process counts alone.

    Of one event loop. Keys unused the longest are forgotten when there are too many.
    """

    def __init__(self, shared: Buckets | None, metrics: Metrics, clock: Callable[[], int]) -> None:
        self._shared = shared
        self._local = LocalBuckets(clock)
        self._clock = clock
        self._metrics = metrics
        self._known: OrderedDict[tuple[str, str], Allowance] = OrderedDict()
        self._waiting: list[tuple[Lease, Allowance]] = []
        self._asking: asyncio.Task[None] | None = None
        self._alone_until = 0
        self._is_alone = shared is None
        metrics.rate_local.set(int(self._is_alone))

    def take(self, scope: str, key: str, rate: Rate | None, cost: int = 1) -> int:
        """0: the request may pass, and is counted. Else the seconds after which it may be repeated. A `rate` of
        None is no limit."""
        if rate is None:
            return 0
        now = self._clock()
        allowance = self._allowance(scope, key, rate)
        wait = 0 if allowance.take(cost, now) else allowance.retry_after(now)
        if wanted := allowance.wanted(now):
            allowance.leasing = True
            self._ask(Lease(scope, key, rate, wanted), allowance, now)
        return wait

    def exhausted(self, scope: str, key: str, rate: Rate | None) -> int:
        """As `take`, for what is counted only afterwards: nothing is taken."""
        return self.take(scope, key, rate, 0)

    def refusal(self, scope: str, wait: int) -> ApiError:
        """What a request is answered that has to wait so many seconds; it is counted."""
        self._metrics.rate_limited.labels(scope).inc()
        return ApiError(429, "rate_limited", f"Too many requests; repeat after {wait} s.", retry_after=wait)

    async def settled(self) -> None:
        """Returns when no lease is under way."""
        while self._asking is not None:
            await asyncio.shield(self._asking)

    async def close(self) -> None:
        """Idempotent."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._shared is not None:
            await self._shared.close()

    def _allowance(self, scope: str, key: str, rate: Rate) -> Allowance:
        name = (scope, key)
        found = self._known.get(name)
        if found is None or found.rate != rate:
            found = self._known[name] = Allowance(rate)
            if len(self._known) > MAX_KEYS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return found

    def _ask(self, lease: Lease, allowance: Allowance, now: int) -> None:
        if self._shared is None or now < self._alone_until:
            allowance.granted(lease.wanted, self._local.grant(lease), now)
            return
        self._waiting.append((lease, allowance))
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._lease(self._shared), name="rate-lease")

    async def _lease(self, shared: Buckets) -> None:
        """Ask for all that waits, and for what comes to wait meanwhile."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_LEASES], self._waiting[MAX_LEASES:]
                grants = await self._grants(shared, [lease for lease, _ in batch])
                now = self._clock()
                for (lease, allowance), grant in zip(batch, grants, strict=True):
                    allowance.granted(lease.wanted, grant, now)
        finally:
            self._asking = None

    async def _grants(self, shared: Buckets, leases: list[Lease]) -> list[Grant]:
        if self._clock() >= self._alone_until:
            try:
                grants = list(await shared.lease(leases))
            except Exception as error:  # whatever a driver raises: a lease without an end refuses its key for ever
                self._alone_until = self._clock() + PAUSE_MS
                known = isinstance(error, BucketsUnavailable)
                self._tell(alone=True, why=str(error) if known else type(error).__name__)
            else:
                self._tell(alone=False)
                return grants
        return [self._local.grant(lease) for lease in leases]

    def _tell(self, *, alone: bool, why: str = "") -> None:
        if alone != self._is_alone:
            self._is_alone = alone
            self._metrics.rate_local.set(int(alone))
            log.warning("rate_limits_local" if alone else "rate_limits_shared", error=why)
