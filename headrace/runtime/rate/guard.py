"""What stands in front of a service's routes: limits by link, by address, and a lock-out of who guesses tokens."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.contracts.errors import ApiError
from headrace.runtime.client_address import client_address, counted_address
from headrace.runtime.http import error_response
from headrace.runtime.metrics import Metrics
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.buckets import RedisBuckets
from headrace.runtime.rate.limiter import RateLimiter
from headrace.runtime.rate.settings import GuardSettings

PUBLIC = ("/o/", "/c/", "/u/", "/p/", "/s/")
"""Paths of links in messages: what follows is a signed token."""
_NO_LINK = frozenset({403, 404})

Refused = Callable[[], ApiError | None]
"""Counts a refusal; the answer in its place, when there were too many."""


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def rate_limiter(settings: GuardSettings, metrics: Metrics) -> RateLimiter:
    """The limiter of a process. Close it at the end."""
    shared = RedisBuckets(settings.redis_url, prefix=settings.prefix) if settings.redis_url else None
    return RateLimiter(shared, metrics, monotonic_ms)


@asynccontextmanager
async def guarded(app: ASGIApp, settings: GuardSettings, metrics: Metrics) -> AsyncIterator[ASGIApp]:
    """The app behind a guard of its own."""
    limiter = rate_limiter(settings, metrics)
    try:
        yield RateGuard(app, limiter, settings, metrics)
    finally:
        await limiter.close()


class RateGuard:
    """ASGI app around `app`.

    A link in a message is limited by itself and not by address: providers' proxies fetch the links of many
    customers from one. Only links that we never signed count for an address. Whoever sends wrong tokens is
    answered 429 for a while, even to the right one, so that guesses are few. Links are counted in this process
    alone: their number is for the sender of requests to choose, and must not become work for Redis.
    """

    def __init__(
        self,
        app: ASGIApp,
        limiter: RateLimiter,
        settings: GuardSettings,
        metrics: Metrics,
        *,
        clock: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.app = app
        self._limiter = limiter
        self._links = RateLimiter(None, metrics, clock)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].startswith(PUBLIC):
            await self._public(scope, receive, send)
        elif any(name == b"authorization" for name, _ in scope["headers"]):
            await self._admin(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _public(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._settings
        if wait := self._links.take("link", _short(scope["path"]), settings.link):
            await _refuse(self._links.refusal("link", wait), scope, receive, send)
            return

        def refused() -> ApiError | None:
            return self._count("refused_link", self._address(scope), settings.refused_link)

        await self.app(scope, receive, _Counted(scope, receive, send, _NO_LINK, refused))

    async def _admin(self, scope: Scope, receive: Receive, send: Send) -> None:
        rate, address = self._settings.admin, self._address(scope)
        if wait := self._limiter.exhausted("admin", address, rate):
            await _refuse(self._limiter.refusal("admin", wait), scope, receive, send)
            return

        def refused() -> ApiError | None:
            return self._count("admin", address, rate)

        await self.app(scope, receive, _Counted(scope, receive, send, frozenset({401}), refused))

    def _count(self, what: str, address: str, rate: Rate | None) -> ApiError | None:
        wait = self._limiter.take(what, address, rate)
        return self._limiter.refusal(what, wait) if wait else None

    def _address(self, scope: Scope) -> str:
        return counted_address(client_address(scope["headers"], scope.get("client"), self._settings.trusted_hops))


class _Counted:
    """Sends an answer on. One with a status of `counted` is counted, and replaced when there were too many."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, counted: frozenset[int], refused: Refused
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._counted = counted
        self._refused = refused
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        counts = message["type"] == "http.response.start" and message["status"] in self._counted
        if counts and (error := self._refused()):
            self._replaced = True
            await _refuse(error, self._scope, self._receive, self._send)
        if not self._replaced:
            await self._send(message)


def _short(path: str) -> str:
    """Tells paths apart. Anybody may ask for paths as long as a head can be, and what was asked for is kept."""
    return blake2b(path.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = error_response(error.status, error.code, error.message, retry_after=error.retry_after)
    await answer(scope, receive, send)
