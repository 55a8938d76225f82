"""Where the buckets are: in this process, or in a Redis that all processes share."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from headrace.contracts.errors import HeadraceError
from headrace.runtime.rate.bucket import Bucket, Grant, Rate

MAX_BUCKETS = 50_000
SCRIPT = Path(__file__).with_name("lease.lua").read_text(encoding="utf-8")
_SECONDS = 0.25


class Lease(NamedTuple):
    """So many tokens are asked of a key's bucket. `scope` tells kinds of keys apart."""

    scope: str
    key: str
    rate: Rate
    wanted: int


class BucketsUnavailable(HeadraceError):
    """The shared buckets do not answer. Nobody is stopped by that: each process counts for itself."""


class Buckets(Protocol):
    """Gives out tokens."""

    async def lease(self, leases: Sequence[Lease]) -> Sequence[Grant]:
        """One answer for each, in their order. Raises BucketsUnavailable: tokens may be lost then, not doubled."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...


class LocalBuckets:
    """Buckets of this process alone. Those unused the longest go when there are too many."""

    def __init__(self, clock: Callable[[], int], *, capacity: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._capacity = capacity
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def grant(self, lease: Lease) -> Grant:
        now = self._clock()
        name = (lease.scope, lease.key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(lease.rate, lease.rate.burst, now)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        bucket.rate = lease.rate
        self._buckets.move_to_end(name)
        return bucket.lease(lease.wanted, now)


class RedisBuckets:
    """Buckets of all processes, at HEADRACE_REDIS_URL. Keys are digests: an address is personal data."""

    def __init__(self, url: str, *, prefix: str = "") -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=2,
            timeout=_SECONDS,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis.from_pool(pool)
        self._prefix = prefix
        self._lease = self._client.register_script(SCRIPT)

    async def lease(self, leases: Sequence[Lease]) -> Sequence[Grant]:
        arguments: list[float | int] = []
        for one in leases:
            arguments += (one.rate.per_second, one.rate.burst, one.wanted)
        try:
            answer = await self._lease([self.name_of(one) for one in leases], arguments)
        except (RedisError, OSError) as error:
            raise BucketsUnavailable(f"Redis gives no tokens ({type(error).__name__})") from error
        return [Grant(int(answer[n]), float(answer[n + 1])) for n in range(1, len(answer), 2)]

    def name_of(self, lease: Lease) -> str:
        """The key in Redis. The braces keep all buckets in one slot of a cluster, as one script needs them."""
        digest = blake2b(lease.key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{self._prefix}{{rate}}:{lease.scope}:{digest}"

    async def close(self) -> None:
        await self._client.aclose(close_connection_pool=True)
