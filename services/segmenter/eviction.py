"""What Redis must promise of segment state: to refuse a write when it is full, never to throw a key away."""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from headrace.contracts.errors import HeadraceError
from services.segmenter.redis_client import Client

LOOK_SECONDS = 1.0


class UnsafeEviction(HeadraceError):
    """Redis may throw state away. Set maxmemory-policy to noeviction."""


class StateEvicted(HeadraceError):
    """Redis has thrown keys away, and nobody knows whose. Empty it: the state is rebuilt from the timeline."""


async def require_noeviction(client: Client) -> None:
    """Raises UnsafeEviction unless the server refuses writes when its memory is full, StateEvicted when it has
    thrown keys away since it started (INFO works where CONFIG is blocked)."""
    policy = (await client.info("memory")).get("maxmemory_policy", "")
    if policy != "noeviction":
        raise UnsafeEviction(
            f"Redis at HEADRACE_REDIS_URL has maxmemory-policy {policy}; set it to noeviction, it holds state"
        )
    evicted = (await client.info("stats")).get("evicted_keys", 0)
    if evicted:
        raise StateEvicted(
            f"Redis at HEADRACE_REDIS_URL has evicted {evicted} keys: segment state may be incomplete. Empty it "
            "(FLUSHDB) and forget the count (CONFIG RESETSTAT, or restart Redis); the segmenter then rebuilds"
        )


async def watch_eviction(client: Client, *, every: float = LOOK_SECONDS) -> None:
    """Look every `every` seconds whether somebody has changed that; ends by raising what `require_noeviction`
    does, so that the process stops. A server that does not answer is for others to say."""
    while True:
        with suppress(RedisError):
            await require_noeviction(client)
        await asyncio.sleep(every)
