"""The other side of a provider with an HTTP API, which misbehaves when told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from services.messenger.providers.port import Provider


@dataclass(frozen=True)
class Asked:
    """A request that was taken on."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Says:
    """An answer: status, JSON or text, headers."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class HttpBench:
    """Subclasses say who may ask, what is answered when all is well, and how each misbehaviour looks."""

    channel = "sms"
    to = "+420601000001"
    well = Says(200, {})
    answers: ClassVar[Mapping[str, Says]] = {
        "throttle": Says(429, {}, (("Retry-After", "7"),)),
        "fail": Says(500, {}),
        "refuse": Says(400, {}),
    }

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.how = ""
        self.answer: Says | None = None
        self.provider: Provider
        self.base_url = ""
        self._runner: web.AppRunner
        self._hanging = asyncio.Event()

    def connect(self) -> Provider:
        raise NotImplementedError

    def denial(self, asked: Asked) -> Says | None:
        """For a request that is not shaped like the provider's API."""
        return None

    def text_of(self, asked: Asked) -> str:
        raise NotImplementedError

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        self.provider = self.connect()

    async def stop(self) -> None:
        self._hanging.set()
        await self.provider.close()
        await self.go_away()

    async def received(self) -> list[str]:
        return [self.text_of(asked) for asked in self.asked]

    def misbehave(self, how: str) -> None:
        self.how = how

    def behave(self) -> None:
        self.how = ""

    async def go_away(self) -> None:
        await self._runner.cleanup()

    def take(self, asked: Asked) -> None:
        self.asked.append(asked)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.path, headers, await request.read())
        denied = self.denial(asked) or self.answers.get(self.how)
        if denied is not None:
            return _response(denied)
        self.take(asked)
        assert request.transport is not None
        if self.how == "drop":
            request.transport.abort()
        if self.how == "garbage":
            assert isinstance(request.transport, asyncio.WriteTransport)
            request.transport.write(b"\x00\xffSMTP? no.\r\n\r\n")
            request.transport.close()
        if self.how == "hang":
            await self._hanging.wait()
        return _response(self.answer or self.well)


def _response(says: Says) -> web.Response:
    headers = dict(says.headers)
    if isinstance(says.body, str):
        return web.Response(status=says.status, text=says.body, headers=headers)
    return web.json_response(says.body, status=says.status, headers=headers)
