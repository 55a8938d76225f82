"""SMS by Twilio's REST API (2010-04-01). Not idempotent: Twilio sends a repeated request twice."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog

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

_CONNECTIONS = 64
_KEEPALIVE_SECONDS = 10
_MAX_REPLY_BYTES = 64 * 1024
_MESSAGING_SERVICE = re.compile(r"MG[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """`sender` is a number in E.164, an alphanumeric sender id, or a messaging service's sid (`MG…`)."""

    base_url: str
    sid: str
    token: str
    sender: str


class TwilioProvider:
    """`POST /2010-04-01/Accounts/{SID}/Messages.json` with To, From (or MessagingServiceSid) and Body."""

    name = "twilio"
    idempotent = False
    cascades = NO_CASCADES

    def __init__(self, account: TwilioAccount, *, timeout: float = SEND_SECONDS) -> None:
        self.account = account
        self._url = f"{account.base_url}/2010-04-01/Accounts/{account.sid}/Messages.json"
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Outgoing) -> SendResult:
        by_service = _MESSAGING_SERVICE.fullmatch(self.account.sender) is not None
        sender = "MessagingServiceSid" if by_service else "From"
        form = {"To": message.to, sender: self.account.sender, "Body": message.text}
        try:
            async with self._open().post(self._url, data=form, allow_redirects=False) as reply:
                return _judge(reply.status, reply.headers.get("Retry-After"), await _json(reply))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # no byte of the request has left
            log.warning("provider_unreachable", provider=self.name, error=type(error).__name__)
            return NotSent("connection")
        except TimeoutError:
            return Unsure("timeout")
        except aiohttp.ClientError as error:
            return Unsure(f"reply_lost_{type(error).__name__}")

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": aiohttp.encode_basic_auth(self.account.sid, self.account.token)},
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE_SECONDS),
            )
        return self._session


async def _json(reply: aiohttp.ClientResponse) -> dict[str, object]:
    """The reply's object; empty when it is something else. The status alone decides what happened."""
    raw = await reply.content.read(_MAX_REPLY_BYTES)
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _judge(status: int, retry_after: str | None, body: dict[str, object]) -> SendResult:
    """A8 of the design: 429 waits, other 4xx is final, 5xx and 408 leave the fate unknown."""
    if 200 <= status < 300:
        sid = body.get("sid")
        return Accepted(sid if isinstance(sid, str) else None)
    if status == 429:
        seconds = int(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
        return NotSent("http_429", None if seconds is None else min(seconds, 3600) * 1000)
    if status == 408 or status >= 500:
        return Unsure(f"http_{status}")
    code = body.get("code")
    return Refused(f"twilio_{code}" if isinstance(code, int) else f"http_{status}")
