"""One webhook to one receiver on loopback: what is sent, what each misbehaviour becomes, where it may not go."""

import socket
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest

from headrace import __version__
from headrace.runtime.webhooks.address import ANYWHERE, PUBLIC, Reach
from headrace.runtime.webhooks.guard import AddressInfo, ForbiddenAddress, GuardedResolver
from headrace.runtime.webhooks.reply import Reply
from headrace.runtime.webhooks.transport import MAX_EXCERPT, Transport, Webhook
from tests.webhook_receiver import Receiver, receiver

NOW = 1_790_000_000_999
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class FakeNames:
    """Answers each lookup with the next list of addresses, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int, family: int) -> Sequence[AddressInfo]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [_info(address, port) for address in addresses]


def _info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


@pytest.fixture
async def hooks() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    found = Transport(ANYWHERE, concurrency=4, timeout=0.4)
    yield found
    await found.close()


def webhook(url: str, **changes: Any) -> Webhook:
    fields = {"url": url, "secrets": [SECRET], "message_id": "m1", "body": '{"a": "ž"}'.encode()}
    return Webhook(**{**fields, **changes})


async def test_what_is_sent(hooks: Receiver, transport: Transport) -> None:
    reply = await transport.send(webhook(f"{hooks.url}/a/%2e%2E/b?c=%41&d"), NOW)
    assert reply == Reply(200)
    (request,) = hooks.requests
    assert request.body == '{"a": "ž"}'.encode()
    assert request.signed_by(SECRET) == [True]
    wanted = {
        "content-type": "application/json",
        "user-agent": f"Headrace/{__version__}",
        "webhook-id": "m1",
        "webhook-timestamp": "1790000000",
    }
    assert wanted.items() <= request.headers.items()
    assert "cookie" not in request.headers


@pytest.mark.parametrize("status", [204, 400, 404, 410, 429, 500, 503])
async def test_a_status_is_passed_on(hooks: Receiver, transport: Transport, status: int) -> None:
    hooks.answers["/"] = hooks.status(status, **{"Retry-After": "7"})
    reply = await transport.send(webhook(f"{hooks.url}/"), NOW)
    assert (reply.status, reply.retry_after) == (status, "7")
    assert reply.reason == ("" if status == 204 else f"http_{status}")
    assert reply.excerpt == ("" if status == 204 else f"this is {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hooks: Receiver, transport: Transport, status: int) -> None:
    hooks.answers["/"] = hooks.status(status, Location=f"{hooks.url}/elsewhere")
    reply = await transport.send(webhook(f"{hooks.url}/"), NOW)
    assert (reply.status, reply.reason) == (status, "redirect")
    assert [request.path for request in hooks.requests] == ["/"]


async def test_silence_ends_with_the_time_limit(hooks: Receiver, transport: Transport) -> None:
    hooks.answers["/"] = hooks.hang
    assert await transport.send(webhook(f"{hooks.url}/"), NOW) == Reply(None, "timeout")


async def test_a_connection_that_is_cut_is_one_failure(hooks: Receiver, transport: Transport) -> None:
    hooks.answers["/"] = hooks.reset
    assert await transport.send(webhook(f"{hooks.url}/"), NOW) == Reply(None, "connection")
    assert len(hooks.requests) == 1


async def test_nobody_listens(transport: Transport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert await transport.send(webhook(url), NOW) == Reply(None, "connection", unsent=True)


async def test_no_tls_where_it_is_expected(hooks: Receiver, transport: Transport) -> None:
    assert await transport.send(webhook(hooks.url.replace("http", "https")), NOW) == Reply(
        None, "tls", unsent=True
    )


async def test_a_status_counts_even_if_the_body_never_ends(hooks: Receiver, transport: Transport) -> None:
    hooks.answers["/"] = hooks.drip
    assert await transport.send(webhook(f"{hooks.url}/"), NOW) == Reply(200, excerpt="so far")


async def test_of_a_body_without_end_a_little_is_read(hooks: Receiver, transport: Transport) -> None:
    hooks.answers["/"] = hooks.flood
    reply = await transport.send(webhook(f"{hooks.url}/"), NOW)
    assert reply.status == 500
    assert reply.excerpt.startswith("flood   flood")
    assert len(reply.excerpt) <= MAX_EXCERPT


@pytest.mark.parametrize(("id", "secret"), [("m\r\nX-Evil: 1", SECRET), ("m1", "whsec_broken")])
async def test_what_cannot_be_sent_is_a_reply_too(
    hooks: Receiver, transport: Transport, id: str, secret: str
) -> None:
    assert (await transport.send(webhook(hooks.url, message_id=id, secrets=[secret]), NOW)).reason == "invalid"
    assert hooks.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
async def test_a_private_address_in_the_store_is_not_asked(hooks: Receiver, host: str) -> None:
    """It may have been put while private addresses were allowed."""
    strict = Transport(PUBLIC, concurrency=1)
    port = hooks.url.rpartition(":")[2]
    for scheme in ("https", "http"):
        reply = await strict.send(webhook(f"{scheme}://{host}:{port}/"), NOW)
        assert reply.reason == "forbidden_url"
    await strict.close()
    assert hooks.requests == []


PRIVATE = [["127.0.0.1"], ["10.0.0.1", "169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]]


@pytest.mark.parametrize("addresses", PRIVATE)
async def test_a_name_that_leads_to_private_addresses_is_not_asked(addresses: list[str]) -> None:
    strict = Transport(PUBLIC, concurrency=1, lookup=FakeNames(addresses))
    assert (await strict.send(webhook("https://hooks.example/"), NOW)).reason == "forbidden_address"
    await strict.close()


async def test_a_name_that_is_none(transport: Transport) -> None:
    lost = Transport(PUBLIC, concurrency=1, lookup=FakeNames([]))
    assert (await lost.send(webhook("https://hooks.example/"), NOW)).reason == "dns"
    await lost.close()


async def test_only_the_public_ones_among_the_addresses_are_used() -> None:
    names = FakeNames(["10.0.0.1", "93.184.215.14", "::1", "2606:2800::1"])
    found = await GuardedResolver(names, PUBLIC.allows).resolve("hooks.example", 443)
    assert [each["host"] for each in found] == ["93.184.215.14", "2606:2800::1"]


async def test_plain_http_to_a_public_address_is_not_asked() -> None:
    some = Transport(Reach((ip_network("127.0.0.1/32"),)), concurrency=1, lookup=FakeNames(["93.184.215.14"]))
    assert (await some.send(webhook("http://hooks.example/"), NOW)).reason == "forbidden_address"
    await some.close()


async def test_a_name_that_turns_private_after_the_check_gains_nothing(hooks: Receiver) -> None:
    """127.0.0.1 is allowed, 127.0.0.2 is not."""
    names = FakeNames(["127.0.0.1"], ["127.0.0.2"])
    rebound = Transport(Reach((ip_network("127.0.0.1/32"),)), concurrency=1, lookup=names)
    url = hooks.url.replace("127.0.0.1", "hooks.example")
    assert (await rebound.send(webhook(url), NOW)).status == 200
    assert names.asked == 1
    assert (await rebound.send(webhook(url), NOW)).reason == "forbidden_address"
    assert names.asked == 2
    assert len(hooks.requests) == 1
    await rebound.close()


async def test_a_host_that_needs_no_resolving_is_checked_as_it_is_connected_to(
    hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last wall, with those before it taken away."""
    monkeypatch.setattr("headrace.runtime.webhooks.transport.url_problem", lambda *_, **__: None)
    strict = Transport(PUBLIC, concurrency=1)
    assert (await strict.send(webhook(hooks.url), NOW)).reason == "forbidden_address"
    await strict.close()
    assert hooks.requests == []


async def test_closing_is_idempotent() -> None:
    unused = Transport(PUBLIC, concurrency=1)
    await unused.close()
    await unused.close()
    with pytest.raises(ForbiddenAddress):
        await GuardedResolver(FakeNames(["::1"]), PUBLIC.allows).resolve("hooks.example", 443)
