"""E-mail over SMTP. Not idempotent: between the final dot and its 250 a lost reply leaves the fate unknown."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import aiosmtplib
import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from services.messenger.providers.mail import bounce_sender, envelope_sender, mail_bytes
from services.messenger.providers.port import (
    NO_CASCADES,
    SEND_SECONDS,
    Accepted,
    NotSent,
    Outgoing,
    Refused,
    SendResult,
    Unsure,
)

log = structlog.get_logger()

_IDLE_CONNECTIONS = 8
_IDLE_SECONDS = 20.0
_ABOUT_US = frozenset({421, 530, 535})


@dataclass(frozen=True, slots=True)
class SmtpAccount:
    """Where and as whom to deliver. `starttls` False only for a relay on loopback or when asked for. `bounces`:
    the shop takes mail to `bounce+…` at the sender's domain; `unsubscribe` is its address for unsubscribing by
    mail."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    starttls: bool = True
    tls: bool = False
    trust: ssl.SSLContext | None = None
    bounces: bool = False
    unsubscribe: str | None = None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SmtpProvider:
    """Delivers to one relay. Connections are kept for a while and used by one message at a time."""

    idempotent = False
    cascades = NO_CASCADES

    def __init__(self, account: SmtpAccount, *, name: str = "smtp", timeout: float = SEND_SECONDS) -> None:
        self.name = name
        self.account = account
        self._half = timeout / 2
        self._idle: deque[tuple[SMTP, float]] = deque()

    async def send(self, message: Outgoing) -> SendResult:
        account = self.account
        content = mail_bytes(message, sender=account.sender, unsubscribe=account.unsubscribe)
        bounces_to = (
            bounce_sender(account.sender, message.id) if account.bounces else envelope_sender(account.sender)
        )
        try:
            async with asyncio.timeout(self._half):
                client, result = await self._open_transaction(bounces_to, message.to)
        except (SMTPException, OSError, TimeoutError, ssl.SSLError) as error:
            log.warning("smtp_unreachable", provider=self.name, error=type(error).__name__)
            return NotSent(_reason(error), concerns="provider")
        if result is not None:
            await self._discard(client)
            return result
        return await self._data(client, content)

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        while self._idle:
            client, _ = self._idle.popleft()
            await self._discard(client)

    async def _open_transaction(self, sender: str, to: str) -> tuple[SMTP, SendResult | None]:
        """A connection that waits for DATA, or the relay's refusal. Up to here nothing was handed over."""
        while (client := self._take_idle()) is not None:
            try:
                return client, await self._envelope(client, sender, to)
            except (SMTPException, OSError, TimeoutError):
                await self._discard(client)  # it went stale while idle: the next one
        client = await self._connect()
        try:
            return client, await self._envelope(client, sender, to)
        except BaseException:
            await self._discard(client)
            raise

    async def _connect(self) -> SMTP:
        account = self.account
        client = SMTP(
            hostname=account.host,
            port=account.port,
            timeout=self._half,
            use_tls=account.tls,
            start_tls=account.starttls and not account.tls,
            tls_context=account.trust,
            username=account.user,
            password=account.password,
        )
        await client.connect()
        return client

    async def _envelope(self, client: SMTP, sender: str, to: str) -> SendResult | None:
        try:
            await client.mail(sender)
            await client.rcpt(to)
        except SMTPResponseException as error:
            return _refusal(error.code)
        return None

    async def _data(self, client: SMTP, content: bytes) -> SendResult:
        try:
            async with asyncio.timeout(self._half):
                reply = await client.data(content)
        except aiosmtplib.SMTPDataError as error:
            await self._discard(client)
            return _refusal(error.code)
        except (SMTPException, OSError, TimeoutError) as error:
            client.close()
            return Unsure(_reason(error))
        self._put_idle(client)
        return Accepted(reply.message[:200] or None)

    def _take_idle(self) -> SMTP | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and now - since < _IDLE_SECONDS:
                return client
            client.close()
        return None

    def _put_idle(self, client: SMTP) -> None:
        if len(self._idle) < _IDLE_CONNECTIONS:
            self._idle.append((client, asyncio.get_running_loop().time()))
        else:
            client.close()

    async def _discard(self, client: SMTP) -> None:
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            await client.quit(timeout=1)
        client.close()


def _refusal(code: int) -> SendResult:
    """RFC 5321 §4.2.1: 4yz may be tried again and was not taken on; 5yz never will be. 421 is the relay's own end,
    530 and 535 are about us, and what is no reply at all says nothing about the message."""
    if code in _ABOUT_US or not 400 <= code < 600:
        return NotSent(_slug(code), concerns="provider")
    return NotSent(f"smtp_{code}") if code < 500 else Refused(f"smtp_{code}")


def _reason(error: BaseException) -> str:
    if isinstance(error, SMTPResponseException):
        return _slug(error.code)
    return "timeout" if isinstance(error, TimeoutError) else "connection"


def _slug(code: int) -> str:
    return f"smtp_{code}" if code > 0 else "garbled"
