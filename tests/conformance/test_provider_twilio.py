"""Twilio against a server of its shape: the provider port, and the request as Twilio documents it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from services.messenger.providers.port import Accepted, NotSent, Provider, Refused, SendResult, Unsure
from services.messenger.providers.twilio import TwilioAccount, TwilioProvider
from tests.conformance.provider_suite import ProviderSuite, outgoing

SID = "AC" + "0" * 32
PATH = f"/2010-04-01/Accounts/{SID}/Messages.json"


class TwilioBench:
    """Takes messages as `POST …/Messages.json`; refuses what is not shaped like Twilio's API."""

    sms = True

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.answer: tuple[int, dict[str, Any], dict[str, str]] | None = None
        self.how = ""
        self.provider: Provider
        self.base_url = ""
        self._runner: web.AppRunner
        self._hanging = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post(PATH, self._create)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        self.provider = self.connect("+420777000000")

    def connect(self, sender: str) -> TwilioProvider:
        return TwilioProvider(TwilioAccount(self.base_url, SID, "tok:en", sender), timeout=0.5)

    async def stop(self) -> None:
        self._hanging.set()
        await self.provider.close()
        await self.go_away()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        expected = base64.b64encode(f"{SID}:tok:en".encode()).decode()
        if request.headers["Authorization"] != f"Basic {expected}":
            return web.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
        if self.how == "refuse":
            body = {"code": 21610, "message": "Attempt to send to unsubscribed recipient", "status": 400}
            return web.json_response(body, status=400)
        if self.how == "throttle":
            return web.json_response({"code": 20429}, status=429, headers={"Retry-After": "7"})
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.how == "drop" and request.transport is not None:
            request.transport.abort()
        if self.how == "hang":
            await self._hanging.wait()
        if self.answer is not None:
            status, reply, headers = self.answer
            return web.json_response(reply, status=status, headers=headers)
        return web.json_response({"sid": "SM" + "1" * 32, "status": "queued"}, status=201)

    async def received(self) -> list[str]:
        return [form["Body"] for form in self.forms]

    def misbehave(self, how: str) -> None:
        self.how = how

    def behave(self) -> None:
        self.how = ""

    async def go_away(self) -> None:
        await self._runner.cleanup()


@pytest.fixture
async def bench() -> AsyncIterator[TwilioBench]:
    server = TwilioBench()
    await server.start()
    yield server
    await server.stop()


class TestTwilio(ProviderSuite):
    """The shared suite."""


async def test_the_request_is_twilios(bench: TwilioBench) -> None:
    assert await bench.provider.send(outgoing(bench, text="Ahoj & +1 €")) == Accepted("SM" + "1" * 32)
    assert bench.forms == [{"To": "+420601000001", "From": "+420777000000", "Body": "Ahoj & +1 €"}]


async def test_a_messaging_service_is_named_by_its_sid(bench: TwilioBench) -> None:
    provider = bench.connect("MG" + "a" * 32)
    await provider.send(outgoing(bench))
    await provider.close()
    assert bench.forms[0]["MessagingServiceSid"] == "MG" + "a" * 32
    assert "From" not in bench.forms[0]


async def test_a_retry_after_is_obeyed(bench: TwilioBench) -> None:
    bench.misbehave("throttle")
    assert await bench.provider.send(outgoing(bench)) == NotSent("http_429", 7000)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (400, {"code": 21211}, {}, Refused("twilio_21211")),
        (404, {}, {}, Refused("http_404")),
        (302, {}, {"Location": "http://elsewhere.test/"}, Refused("http_302")),
        (429, {}, {"Retry-After": "soon"}, NotSent("http_429")),
        (429, {}, {"Retry-After": "999999"}, NotSent("http_429", 3_600_000)),
        (408, {}, {}, Unsure("http_408")),
        (500, {"code": 20500}, {}, Unsure("http_500")),
        (503, {}, {}, Unsure("http_503")),
        (201, {"sid": None}, {}, Accepted(None)),
    ],
)
async def test_what_an_answer_means(
    bench: TwilioBench, status: int, body: dict[str, Any], headers: dict[str, str], expected: SendResult
) -> None:
    """Also when the message was taken on before a 500."""
    bench.answer = (status, body, headers)
    assert await bench.provider.send(outgoing(bench)) == expected
    assert len(bench.forms) == 1
