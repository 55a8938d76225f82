"""SMTP against a real server (aiosmtpd): the provider port, and the mail that arrives."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.messenger.providers.port import Accepted, NotSent, Provider, Refused, SendResult
from services.messenger.providers.smtp import SmtpAccount, SmtpProvider
from tests.conformance.provider_suite import ProviderSuite, outgoing
from tests.conformance.test_provider_file import plain_text


class SmtpBench:
    """A mail server that takes everything, and misbehaves when told."""

    channel = "email"
    to = "jana@shop.test"

    def __init__(self) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self.senders: list[str] = []
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
        if self.how[:3].isdigit():
            return self.how
        if self.how == "refuse":
            return f"550 5.1.1 no mailbox {address}"
        if self.how == "throttle":
            return "450 4.7.0 too many messages"
        if self.how == "fail":
            return "451 4.3.0 something is broken here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append((envelope.rcpt_tos[0], content))
        self.senders.append(str(envelope.mail_from))
        if self.how == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if self.how == "hang":
            await self._hanging.wait()
        return "who is there?" if self.how == "garbage" else "250 2.0.0 queued as 4711"

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


async def sent_mail(bench: SmtpBench, provider: Provider | None = None, **changes: Any) -> EmailMessage:
    result = await (provider or bench.provider).send(replace(outgoing(bench), **changes))
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
    assert mail["Precedence"] == "bulk"
    assert mail["Auto-Submitted"] is None
    assert mail["Feedback-ID"] == "welcome:marketing:email:shoptest"


async def test_who_has_no_browser_unsubscribes_by_mail(bench: SmtpBench) -> None:
    provider = SmtpProvider(replace(bench.account(), unsubscribe="off@shop.test"), timeout=2)
    mail = await sent_mail(bench, provider, one_click_url="https://shop.test/u/1.s0.abc")
    await provider.close()
    https, mailto = (part.strip() for part in str(mail["List-Unsubscribe"]).split(","))
    assert https == "<https://shop.test/u/1.s0.abc>"
    assert mailto == f"<mailto:off@shop.test?subject=unsubscribe%20{outgoing(bench).id}>"


async def test_a_transactional_mail_is_no_bulk_and_asks_for_no_answer(bench: SmtpBench) -> None:
    mail = await sent_mail(bench, purpose="transactional")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Precedence"] is mail["List-Unsubscribe"] is mail["List-Unsubscribe-Post"] is None
    assert mail["Feedback-ID"] == "welcome:transactional:email:shoptest"


async def test_a_bounce_comes_back_to_an_address_that_names_the_message(bench: SmtpBench) -> None:
    await sent_mail(bench)
    provider = SmtpProvider(replace(bench.account(), bounces=True), timeout=2)
    mail = await sent_mail(bench, provider)
    await provider.close()
    assert bench.senders == ["shop@shop.test", f"bounce+{outgoing(bench).id}@shop.test"]
    assert mail["From"] == "Shop <shop@shop.test>", "what the customer sees stays"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (421, NotSent("smtp_421", concerns="provider")),
        (450, NotSent("smtp_450")),
        (530, NotSent("smtp_530", concerns="provider")),
        (550, Refused("smtp_550")),
        (552, Refused("smtp_552")),
    ],
)
async def test_what_a_reply_means(bench: SmtpBench, code: int, expected: SendResult) -> None:
    bench.how = f"{code} 4.0.0 because"
    assert await bench.provider.send(outgoing(bench)) == expected
    assert bench.mails == []


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
