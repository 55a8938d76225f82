"""Redis clients: one for reads, which may retry, one for commits, which must not."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from headrace.contracts.errors import HeadraceError

Client = Redis
_READ_RETRIES = 3


class StoreUnavailable(HeadraceError):
    """Redis did not answer, or refused. Check HEADRACE_REDIS_URL, that the server runs, and its memory."""


def connect(url: str, *, retries: int = _READ_RETRIES) -> Client:
    """A client for `url`. The client that commits takes `retries=0`: a write must not be sent twice."""
    backoff = ExponentialBackoff(cap=0.5, base=0.05) if retries else NoBackoff()
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=10,
        socket_timeout=10,
        socket_connect_timeout=5,
        retry=Retry(backoff, retries),
    )
    return Redis.from_pool(pool)
