"""A lease: at most one holder by the server's clock, and a holder knows by its own when it may have lost it."""

import secrets
import time
from collections.abc import Callable

from headrace.log.redis_streams.server import Server

Monotonic = Callable[[], float]


class Lease:
    """A lease of `ttl` seconds, told apart from others' by a token. Our clock starts before we ask and the
    server's when it grants, so `remaining` runs out first: also after this process was paused."""

    def __init__(self, server: Server, key: str, *, ttl: float, monotonic: Monotonic = time.monotonic) -> None:
        self.key = key
        self.ttl = ttl
        self._server = server
        self._token = secrets.token_hex(16)
        self._monotonic = monotonic
        self._until = 0.0

    def remaining(self) -> float:
        """Seconds it is certainly ours from now on; 0 when it is not."""
        return max(0.0, self._until - self._monotonic())

    async def acquire(self) -> float:
        """Take or renew it. Returns 0 when it is ours, else the seconds until it may be free. Raises LogError."""
        asked = self._monotonic()
        wait = await self._server.call(self._server.acquire, [self.key], [self._token, int(self.ttl * 1000)])
        self._until = 0.0 if wait else asked + self.ttl
        return float(wait) / 1000

    async def release(self) -> None:
        """Give it up and tell those who wait. Raises LogError; it is not ours from then on in any case."""
        self._until = 0.0
        await self._server.call(self._server.release, [self.key], [self._token])
