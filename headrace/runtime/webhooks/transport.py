"""Hands one webhook to its receiver: a signed POST, and what came back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp
import yarl

from headrace import __version__
from headrace.contracts.instant import Millis
from headrace.runtime.webhooks.address import Reach, url_problem
from headrace.runtime.webhooks.guard import ForbiddenAddress, Lookup, SystemLookup, guarded_connector
from headrace.runtime.webhooks.reply import Reply
from headrace.runtime.webhooks.signature import sign

TIMEOUT_SECONDS = 15.0
EXCERPT_SECONDS = 2.0
MAX_REPLY_BYTES = 1024
MAX_EXCERPT = 200

_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"Headrace/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request. `secrets` sign it, the newest first; `message_id` is the same at each attempt."""

    url: str
    secrets: Sequence[str]
    message_id: str
    body: bytes


class Transport:
    """Made once a process, inside the event loop or before it."""

    def __init__(
        self,
        reach: Reach,
        *,
        concurrency: int,
        lookup: Lookup | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._reach = reach
        self._concurrency = concurrency
        self._system = SystemLookup() if lookup is None else None
        self._lookup = lookup or self._system
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def send(self, webhook: Webhook, now: Millis) -> Reply:
        """Send it, signed for the instant `now`. Does not raise: whatever goes wrong is a reply with a reason."""
        if problem := url_problem(webhook.url, self._reach):
            return Reply(None, "forbidden_url", excerpt=f"the URL {problem.reason}", unsent=True)
        try:
            return await self._post(webhook, now // 1000)
        except TimeoutError:
            return Reply(None, "timeout")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Reply(None, _reason(error), unsent=isinstance(error, aiohttp.ClientConnectorError))

    async def close(self) -> None:
        """Idempotent; tolerates never-used."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()
        if self._system is not None:
            self._system.close()

    async def _post(self, webhook: Webhook, timestamp: int) -> Reply:
        headers = {
            **_HEADERS,
            "webhook-id": webhook.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(webhook.secrets, webhook.message_id, timestamp, webhook.body),
        }
        # encoded: what was checked is what is asked for
        url = yarl.URL(webhook.url, encoded=True)
        session = self._open(plain=url.scheme == "http")
        async with session.post(url, data=webhook.body, headers=headers, allow_redirects=False) as reply:
            excerpt = await _excerpt(reply)
            return Reply(reply.status, _slug(reply.status), reply.headers.get("Retry-After"), excerpt)

    def _open(self, *, plain: bool) -> aiohttp.ClientSession:
        """Requests with and without TLS may go to different addresses."""
        if plain not in self._sessions:
            assert self._lookup is not None
            allowed = partial(self._reach.allows, plain=plain)
            self._sessions[plain] = aiohttp.ClientSession(
                connector=guarded_connector(self._lookup, allowed, limit=self._concurrency),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=MAX_REPLY_BYTES,
            )
        return self._sessions[plain]


async def _excerpt(reply: aiohttp.ClientResponse) -> str:
    """The beginning of the body as far as it comes soon: the status has decided."""
    raw = b""
    try:
        async with asyncio.timeout(EXCERPT_SECONDS):
            while len(raw) < MAX_REPLY_BYTES and (more := await reply.content.read(MAX_REPLY_BYTES - len(raw))):
                raw += more
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    text = raw.decode(errors="replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MAX_EXCERPT]


def _slug(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return "redirect" if 300 <= status < 400 else f"http_{status}"


def _reason(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ForbiddenAddress):
        return "forbidden_address"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "tls"
    return "connection" if isinstance(error, aiohttp.ClientError | OSError) else "invalid"
