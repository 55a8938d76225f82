"""A journey's webhook against a receiver on loopback: the port, the signature, and where it may not go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from headrace.runtime.webhooks.address import PUBLIC, Reach
from headrace.runtime.webhooks.guard import AddressInfo
from services.messenger.providers.breaker import FAILURES, FIRST_PAUSE_MS
from services.messenger.providers.port import Accepted, NotSent, Provider, Refused, SendResult, Unsure
from services.messenger.providers.webhook import WebhookProvider
from tests.conformance.http_bench import Asked, HttpBench, Says
from tests.conformance.provider_suite import ProviderSuite, outgoing
from tests.unit.messenger.rig import START, ManualClock
from tests.webhook_receiver import Received

SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJD" * 8)
LOOPBACK = Reach((ip_network("127.0.0.1/32"),))


class WebhookBench(HttpBench):
    """A receiver that keeps the standard: it knows by `webhook-id` what it has had."""

    channel = "webhook"
    well = Says(204)

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.times = 0

    async def start(self) -> None:
        await super().start()
        self.to = f"{self.base_url}/hooks/points?shop=1"

    def connect(self) -> Provider:
        return WebhookProvider(SECRETS, LOOPBACK, self.clock, timeout=0.5)

    def take(self, asked: Asked) -> None:
        self.times += 1
        if asked.headers["webhook-id"] not in {known.headers["webhook-id"] for known in self.asked}:
            self.asked.append(asked)

    def text_of(self, asked: Asked) -> str:
        return asked.body.decode()


@pytest.fixture
async def bench() -> AsyncIterator[WebhookBench]:
    server = WebhookBench()
    await server.start()
    yield server
    await server.stop()


class TestWebhook(ProviderSuite):
    """The shared suite."""


async def test_every_secret_signs_and_the_id_is_the_messages(bench: WebhookBench) -> None:
    message = outgoing(bench, text='{"type": "campaign.step"}')
    assert await bench.provider.send(message) == Accepted()
    (asked,) = bench.asked
    assert asked.path == "/hooks/points"
    assert asked.headers["webhook-id"] == message.id
    assert asked.headers["webhook-timestamp"] == str(START // 1000)
    received = Received(asked.path, asked.headers, asked.body)
    assert received.signed_by(SECRETS[0]) == [True, False]
    assert received.signed_by(SECRETS[1]) == [False, True]


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (200, None, Accepted()),
        (299, None, Accepted()),
        (410, None, Refused("http_410")),
        (400, None, Refused("http_400")),
        (404, None, Refused("http_404")),
        (302, None, Refused("redirect")),
        (429, "7", NotSent("http_429", 7_000)),
        (502, "Tue, 14 Nov 2023 22:13:30 GMT", NotSent("http_502", 10_000)),
        (504, None, NotSent("http_504")),
        (500, None, NotSent("http_500")),
        (503, "9", NotSent("http_503", 9_000)),
    ],
)
async def test_what_a_status_means(
    bench: WebhookBench, status: int, retry_after: str | None, expected: SendResult
) -> None:
    headers = (("Retry-After", retry_after),) if retry_after else ()
    bench.answer = Says(status, "", (*headers, ("Location", f"{bench.base_url}/elsewhere")))
    assert await bench.provider.send(outgoing(bench)) == expected
    assert bench.times == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://10.0.0.1/",
        "https://localhost:{port}/",
        "https://user:pass@example.com/",
        "file:///etc/passwd",
        "https://[::1/",
        "",
    ],
)
async def test_what_is_not_public_is_never_asked(bench: WebhookBench, url: str) -> None:
    strict = WebhookProvider(SECRETS, PUBLIC, bench.clock)
    message = replace(outgoing(bench), to=url.format(port=bench.base_url.rpartition(":")[2]))
    assert await strict.send(message) == Refused("forbidden_url")
    await strict.close()
    assert bench.times == 0


async def test_a_name_that_leads_home_is_never_asked(bench: WebhookBench) -> None:
    async def lookup(host: str, port: int, family: int) -> list[AddressInfo]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    strict = WebhookProvider(SECRETS, PUBLIC, bench.clock, lookup=lookup)
    message = replace(outgoing(bench), to="https://hooks.example/")
    assert await strict.send(message) == Refused("forbidden_address")
    await strict.close()


async def test_a_receiver_that_is_down_is_left_alone_for_a_while_and_others_are_not(bench: WebhookBench) -> None:
    bench.misbehave("fail")
    for number in range(FAILURES):
        assert await bench.provider.send(outgoing(bench, number)) == NotSent("http_500")
    bench.behave()
    assert await bench.provider.send(outgoing(bench)) == NotSent("receiver_down", FIRST_PAUSE_MS)
    assert bench.times == 0

    other = WebhookBench()
    await other.start()
    assert await bench.provider.send(outgoing(other)) == Accepted()
    await other.stop()

    bench.clock.now += FIRST_PAUSE_MS
    results = await asyncio.gather(*(bench.provider.send(outgoing(bench, number)) for number in range(3)))
    assert [type(result) for result in results] == [Accepted, NotSent, NotSent], "one tries, the others wait"
    assert await bench.provider.send(outgoing(bench, 4)) == Accepted()


async def test_what_a_receiver_refuses_says_nothing_against_it(bench: WebhookBench) -> None:
    bench.misbehave("refuse")
    for number in range(2 * FAILURES):
        assert await bench.provider.send(outgoing(bench, number)) == Refused("http_400")
    bench.behave()
    assert await bench.provider.send(outgoing(bench)) == Accepted()


async def test_a_lost_reply_is_asked_for_again_and_taken_once(bench: WebhookBench) -> None:
    bench.misbehave("hang")
    assert await bench.provider.send(outgoing(bench)) == Unsure("timeout")
    bench.behave()
    assert await bench.provider.send(outgoing(bench)) == Accepted()
    assert (bench.times, len(bench.asked)) == (2, 1)
