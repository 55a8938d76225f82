"""Twilio against a server of its shape: the provider port, and the request as Twilio's own client makes it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import pytest
from twilio.rest import Client

from services.messenger.providers.port import Accepted, NotSent, Provider, Refused, SendResult, Unsure
from services.messenger.providers.twilio import TwilioAccount, TwilioProvider
from tests.conformance.http_bench import Asked, HttpBench, Says
from tests.conformance.provider_suite import MESSAGE_ID, ProviderSuite, outgoing

SID, TOKEN = "AC" + "0" * 32, "tok:en"
FROM = "+420777000000"


class TwilioBench(HttpBench):
    """Takes messages as `POST …/Messages.json`; refuses what is not shaped like Twilio's API."""

    well = Says(201, {"sid": "SM" + "1" * 32, "status": "queued"})
    answers: ClassVar[Mapping[str, Says]] = {
        **HttpBench.answers,
        "refuse": Says(
            400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient", "status": 400}
        ),
    }

    def connect(self) -> Provider:
        return TwilioProvider(self.account(), timeout=0.5)

    def account(self) -> TwilioAccount:
        return TwilioAccount(self.base_url, SID, TOKEN, FROM)

    def denial(self, asked: Asked) -> Says | None:
        expected = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if asked.headers["authorization"] != f"Basic {expected}":
            return Says(401, {"code": 20003, "message": "Authenticate", "status": 401})
        return None if asked.path == f"/2010-04-01/Accounts/{SID}/Messages.json" else Says(404, {})

    def text_of(self, asked: Asked) -> str:
        return form_of(asked)["Body"]


def form_of(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(asked.body.decode(), keep_blank_values=True, strict_parsing=True))


@pytest.fixture
async def bench() -> AsyncIterator[TwilioBench]:
    server = TwilioBench()
    await server.start()
    yield server
    await server.stop()


class TestTwilio(ProviderSuite):
    """The shared suite."""


@pytest.mark.parametrize("sender", [FROM, "MG" + "a" * 32, "Shop"])
@pytest.mark.parametrize("hooks_url", [None, "https://in.shop.example"])
async def test_the_request_is_that_of_twilios_own_client(
    bench: TwilioBench, sender: str, hooks_url: str | None
) -> None:
    text = "Ahoj & +1 €\n50 % 🎁 =ano"
    provider = TwilioProvider(replace(bench.account(), sender=sender, hooks_url=hooks_url))
    assert await provider.send(outgoing(bench, text=text)) == Accepted("SM" + "1" * 32)
    await provider.close()
    await asyncio.to_thread(send_by_client, bench, sender, text, hooks_url)

    ours, theirs = bench.asked
    assert ours.path == theirs.path
    assert ours.headers["authorization"] == theirs.headers["authorization"]
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert form_of(ours) == form_of(theirs)
    assert ("StatusCallback" in form_of(ours)) == (hooks_url is not None)


def send_by_client(bench: TwilioBench, sender: str, text: str, hooks_url: str | None) -> None:
    """The official package, told to ask the bench."""
    client = Client(SID, TOKEN)
    client.api.base_url = bench.base_url
    given: dict[str, Any] = {"messaging_service_sid" if sender.startswith("MG") else "from_": sender}
    if hooks_url is not None:
        given["status_callback"] = f"{hooks_url}/v1/hooks/twilio?m={MESSAGE_ID[:-2]}00"
    client.messages.create(to="+420601000001", body=text, **given)


async def test_a_retry_after_is_obeyed(bench: TwilioBench) -> None:
    bench.misbehave("throttle")
    assert await bench.provider.send(outgoing(bench)) == NotSent("http_429", 7000, concerns="rate")


async def test_a_wrong_token_is_our_fault_and_not_the_messages(bench: TwilioBench) -> None:
    provider = TwilioProvider(replace(bench.account(), token="stale"))
    assert await provider.send(outgoing(bench)) == NotSent("http_401", concerns="provider")
    await provider.close()


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (400, {"code": 21211}, {}, Refused("twilio_21211")),
        (404, {}, {}, Refused("http_404")),
        (302, {}, {"Location": "http://elsewhere.test/"}, Refused("http_302")),
        (429, {}, {"Retry-After": "soon"}, NotSent("http_429", concerns="rate")),
        (429, {}, {"Retry-After": "999999"}, NotSent("http_429", 3_600_000, concerns="rate")),
        (408, {}, {}, Unsure("http_408")),
        (500, {"code": 20500}, {}, Unsure("http_500")),
        (503, {}, {}, Unsure("http_503")),
        (201, {"sid": None}, {}, Accepted(None)),
        (201, "<html>well</html>", {}, Accepted(None)),
    ],
)
async def test_what_an_answer_means(
    bench: TwilioBench, status: int, body: Any, headers: dict[str, str], expected: SendResult
) -> None:
    """Also when the message was taken on before a 500."""
    bench.answer = Says(status, body, tuple(headers.items()))
    assert await bench.provider.send(outgoing(bench)) == expected
    assert len(bench.asked) == 1
