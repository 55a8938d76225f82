"""A receiver of webhooks on loopback, which can misbehave in every way that receivers do."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def signed_by(self, secret: str) -> list[bool]:
        """For each signature whether it is this secret's; written apart from the code that signs."""
        key = base64.b64decode(secret.split("_", 1)[1])
        text = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body.decode()}"
        expected = base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()
        return [given == f"v1,{expected}" for given in self.headers["webhook-signature"].split()]


@dataclass
class Receiver:
    """Answers 200, or by path as `answers` says. `news` is set at each request; what hangs does so until
    `released`."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def ids(self, path: str | None = None) -> list[str]:
        return [request.id for request in self.requests if path is None or request.path == path]

    async def until(self, count: int, seconds: float = 20.0) -> None:
        """Wait for so many requests in all."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(lambda: len(self.requests) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with self.news:
            self.requests.append(Received(request.path, headers, body))
            self.news.notify_all()
        answer = self.answers.get(request.path)
        return await answer(request) if answer else web.Response()

    def status(self, status: int, **headers: str) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=f"this is {status}", headers=headers)

        return answer

    async def hang(self, request: web.Request) -> web.StreamResponse:
        await self.released.wait()
        return web.Response()

    async def reset(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """The status at once, the body never."""
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        await response.write(b"so far")
        await self.released.wait()
        return response

    async def flood(self, request: web.Request) -> web.StreamResponse:
        """A body without end."""
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        while not self.released.is_set():
            await response.write(b"\x00\x1bflood " * 10_000)
        return response


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        found.released.set()
        await runner.cleanup()
