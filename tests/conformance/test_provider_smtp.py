"""SMTP against a real server (aiosmtpd): the provider port, and the mail that arrives."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.messenger.providers.port import Accepted, NotSent, Provider
from services.messenger.providers.smtp import SmtpAccount, SmtpProvider
from tests.conformance.provider_suite import ProviderSuite, outgoing
from tests.conformance.test_provider_file import plain_text


class SmtpBench:
    """A mail server that takes everything, and misbehaves when told."""

    sms = False

    def __init__(self) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self.how = ""
        self.provider: Provider
        self.port = 0
        self._server: asyncio.Server
        self._hanging = asyncio.Event()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.provider = SmtpProvider(self.account(), timeout=2)

    def account(self) -> SmtpAccount:
        return SmtpAccount("127.0.0.1", self.port, "Shop <shop@shop.test>", starttls=False)

    async def stop(self) -> None:
        self._hanging.set()
        await self.provider.close()
        await self.go_away()

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.how == "refuse":
            return f"550 5.1.1 no mailbox {address}"
        if self.how == "throttle":
            return "450 4.7.0 too many messages"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((envelope.rcpt_tos[0], content))
        if self.how == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if self.how == "hang":
            await self._hanging.wait()
        return "250 2.0.0 queued as 4711"

    async def received(self) -> list[str]:
        return [plain_text(content) for _, content in self.mails]

    def misbehave(self, how: str) -> None:
        self.how = how

    def behave(self) -> None:
        self.how = ""

    async def go_away(self) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def bench() -> AsyncIterator[SmtpBench]:
    server = SmtpBench()
    await server.start()
    yield server
    await server.stop()


class TestSmtp(ProviderSuite):
    """The shared suite."""


async def sent_mail(bench: SmtpBench, *, one_click_url: str | None = None) -> EmailMessage:
    result = await bench.provider.send(replace(outgoing(bench), one_click_url=one_click_url))
    assert result == Accepted("2.0.0 queued as 4711")
    to, content = bench.mails[-1]
    assert to == "jana@shop.test"
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


async def test_the_mail_is_multipart_with_a_stable_id(bench: SmtpBench) -> None:
    one, two = await sent_mail(bench), await sent_mail(bench)
    assert bench.mails[0] == bench.mails[1]
    assert one["Message-ID"] == two["Message-ID"] == f"<{outgoing(bench).id}@shop.test>"
    assert one["From"] == "Shop <shop@shop.test>"
    assert one["Subject"] == "Žluťoučký kůň"
    assert one["List-Unsubscribe"] is None
    assert [part.get_content_type() for part in one.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert all(byte < 128 for byte in bench.mails[0][1])


async def test_marketing_mail_offers_one_click_unsubscribing(bench: SmtpBench) -> None:
    mail = await sent_mail(bench, one_click_url="https://shop.test/u/1.s0.abc")
    assert mail["List-Unsubscribe"] == "<https://shop.test/u/1.s0.abc>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_without_starttls_nothing_is_handed_over_where_it_is_required(bench: SmtpBench) -> None:
    provider = SmtpProvider(replace(bench.account(), starttls=True), timeout=2)
    assert isinstance(await provider.send(outgoing(bench)), NotSent)
    assert bench.mails == []


async def test_a_connection_that_died_while_idle_is_replaced(bench: SmtpBench) -> None:
    await sent_mail(bench)
    await bench.go_away()
    port = bench.port
    loop = asyncio.get_running_loop()
    bench._server = await loop.create_server(lambda: SMTP(bench, loop=loop), "127.0.0.1", port)
    await sent_mail(bench)
    assert len(bench.mails) == 2
