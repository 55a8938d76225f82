"""SMS by Twilio's REST API (2010-04-01). Not idempotent: Twilio sends a repeated request twice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from services.messenger.providers.http import Answer, HttpApi
from services.messenger.providers.port import NO_CASCADES, SEND_SECONDS, Accepted, Outgoing, Refused, SendResult

_MESSAGING_SERVICE = re.compile(r"MG[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """`sender` is a number in E.164, an alphanumeric sender id, or a messaging service's sid (`MG…`). `hooks_url`
    is the public base of ingest, to which Twilio tells what became of a message."""

    base_url: str
    sid: str
    token: str
    sender: str
    hooks_url: str | None = None


class TwilioProvider:
    """`POST /2010-04-01/Accounts/{SID}/Messages.json` with To, From (or MessagingServiceSid) and Body."""

    idempotent = False
    cascades = NO_CASCADES

    def __init__(self, account: TwilioAccount, *, name: str = "twilio", timeout: float = SEND_SECONDS) -> None:
        self.name = name
        self.account = account
        self._url = f"{account.base_url}/2010-04-01/Accounts/{account.sid}/Messages.json"
        authorization = aiohttp.encode_basic_auth(account.sid, account.token)
        self._api = HttpApi(name, {"Authorization": authorization}, timeout=timeout)

    async def send(self, message: Outgoing) -> SendResult:
        return await self._api.post(self._url, _judge, form=self._form(message))

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        await self._api.close()

    def _form(self, message: Outgoing) -> dict[str, str]:
        by_service = _MESSAGING_SERVICE.fullmatch(self.account.sender) is not None
        sender = "MessagingServiceSid" if by_service else "From"
        form = {"To": message.to, sender: self.account.sender, "Body": message.text}
        if self.account.hooks_url is not None:
            # Twilio's signature covers the whole URL: the id in it can be relied on
            form["StatusCallback"] = f"{self.account.hooks_url}/v1/hooks/twilio?m={message.id}"
        return form


def _judge(status: int, answer: Answer) -> SendResult:
    if 200 <= status < 300:
        sid = answer.get("sid")
        return Accepted(sid if isinstance(sid, str) else None)
    code = answer.get("code")
    return Refused(f"twilio_{code}" if isinstance(code, int) else f"http_{status}")
