"""Providers with an HTTP API: one request, and what its answer says of the message's fate."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import structlog

from services.messenger.providers.port import SEND_SECONDS, NotSent, SendResult, Unsure

log = structlog.get_logger()

Answer = Mapping[str, Any]
"""The object in a reply; empty when the reply holds something else."""
Judge = Callable[[int, Answer], SendResult]
"""What a status below 500 means, with what came with it."""

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_KEEPALIVE_SECONDS = 10
_MAX_REPLY_BYTES = 64 * 1024
_MAX_RETRY_AFTER_SECONDS = 3600


class HttpApi:
    """Connections to one provider's API. Made once a process, inside the event loop or before it."""

    def __init__(self, provider: str, headers: Mapping[str, str], *, timeout: float = SEND_SECONDS) -> None:
        self._provider = provider
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        url: str,
        judge: Judge,
        *,
        form: Mapping[str, str] | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> SendResult:
        """One request, never repeated. 429 waits, 401 is about us and not the message, 408 and 5xx leave the fate
        unknown; `judge` tells the rest."""
        # bytes: aiohttp takes longer to find out what else a body is
        body = json.dumps(document) if document is not None else urlencode(form or {})
        headers = {"Content-Type": _JSON if document is not None else _FORM}
        try:
            sent = self._open().post(url, data=body.encode(), headers=headers, allow_redirects=False)
            async with sent as reply:
                answer = await _object(reply)
                return _general(reply.status, reply.headers.get("Retry-After")) or judge(reply.status, answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # no byte of the request has left
            log.warning("provider_unreachable", provider=self._provider, error=type(error).__name__)
            return NotSent("connection", concerns="provider")
        except TimeoutError:
            return Unsure("timeout")
        except aiohttp.ClientError as error:
            return Unsure(f"reply_lost_{type(error).__name__}")

    async def close(self) -> None:
        """Idempotent; tolerates never-used."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=self._timeout,
                # the sender bounds what is under way: who waited for a connection would be called unreachable
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def throttled(reason: str, retry_after: str | None = None) -> NotSent:
    """The provider says "too many": nothing more for a while."""
    seconds = int(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    wait = None if seconds is None else min(seconds, _MAX_RETRY_AFTER_SECONDS) * 1000
    return NotSent(reason, wait, concerns="rate")


def _general(status: int, retry_after: str | None) -> SendResult | None:
    """What a status means with every provider (reliability A8); None where it depends."""
    if status == 429:
        return throttled("http_429", retry_after)
    if status == 401:
        return NotSent("http_401", concerns="provider")
    return Unsure(f"http_{status}") if status == 408 or status >= 500 else None


async def _object(reply: aiohttp.ClientResponse) -> Answer:
    raw = await reply.content.read(_MAX_REPLY_BYTES)
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
