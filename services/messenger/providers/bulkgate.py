"""SMS and Viber by BulkGate's advanced API (2.0), which goes from Viber on to SMS by itself.

Not idempotent: BulkGate knows a repeated text to a number for a short while only, and calls it an error.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.messenger.providers.http import Answer, HttpApi
from services.messenger.providers.port import SEND_SECONDS, Accepted, Outgoing, Refused, SendResult, Unsure
from services.messenger.sms_text import count

SENDER_IDS = ("gSystem", "gShort", "gText", "gMobile", "gPush", "gOwn", "gProfile")
_TAKEN_ON = frozenset({"sent", "accepted", "scheduled"})
_SLUG = re.compile(r"[^a-z0-9]+")
_VIBER_SECONDS = 3_600
"""How long Viber may try before the SMS goes out."""
_ID_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class BulkGateAccount:
    """`sender_id` is BulkGate's kind of sender (`gText`), `sender_value` the sender (`Shop`). `viber_sender`: None
    where Viber is not set up."""

    base_url: str
    application_id: str
    token: str
    sender_id: str = "gSystem"
    sender_value: str | None = None
    viber_sender: str | None = None


class BulkGateProvider:
    """`POST /api/2.0/advanced/promotional` for marketing, which honours opt-outs, and `/transactional`. `tag` is
    our message id: delivery reports carry it."""

    idempotent = False
    cascades = frozenset({("viber", "sms")})

    def __init__(self, account: BulkGateAccount, *, name: str = "bulkgate", timeout: float = SEND_SECONDS) -> None:
        self.name = name
        self.account = account
        self._base = f"{account.base_url}/api/2.0/advanced"
        self._api = HttpApi(name, {"Cache-Control": "no-cache"}, timeout=timeout)

    async def send(self, message: Outgoing) -> SendResult:
        marketing = message.purpose == "marketing"
        url = f"{self._base}/{'promotional' if marketing else 'transactional'}"
        return await self._api.post(url, _judge, document=self._document(message))

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        await self._api.close()

    def _document(self, message: Outgoing) -> dict[str, Any]:
        text, channel = self._channel(message)
        return {
            "application_id": self.account.application_id,
            "application_token": self.account.token,
            "number": message.to.removeprefix("+"),
            "text": text,
            "channel": channel,
            "duplicates_check": "same_text" if message.purpose == "marketing" else "on",
            "tag": message.id,
        }

    def _channel(self, message: Outgoing) -> tuple[str, dict[str, Any]]:
        """The text of last resort, and the channels in the order in which BulkGate tries them."""
        if message.channel != "viber":
            return message.text, {"sms": self._sms(message.text)}
        viber = {"viber": self._viber(message)}
        if message.fallback is None:
            return message.text, viber
        return message.fallback.text, {**viber, "sms": self._sms(message.fallback.text)}

    def _sms(self, text: str) -> dict[str, Any]:
        sender = {"sender_id": self.account.sender_id}
        if self.account.sender_value is not None:
            sender["sender_id_value"] = self.account.sender_value
        # without it BulkGate replaces letters, with it a plain text costs more parts
        return {**sender, "unicode": count(text).encoding == "UCS-2"}

    def _viber(self, message: Outgoing) -> dict[str, Any]:
        found: dict[str, Any] = {
            "sender": self.account.viber_sender,
            "expiration": _VIBER_SECONDS,
            "text": message.text,
        }
        if image := message.extras.get("image_url"):
            found["image"] = {"url": image, "zoom": False}
        if (caption := message.extras.get("button")) and (url := message.extras.get("button_url")):
            found["button"] = {"caption": caption, "url": url}
        return found


def _judge(status: int, answer: Answer) -> SendResult:
    """A 2xx tells of each number what became of it."""
    if not 200 <= status < 300:
        reason = _slug(answer.get("type"))
        return Refused(f"bulkgate_{reason}" if reason else f"http_{status}")
    line = _only_number(answer)
    told = line.get("status")
    if isinstance(told, str) and told in _TAKEN_ON:
        message_id = line.get("message_id")
        return Accepted(message_id[:_ID_CHARACTERS] if isinstance(message_id, str) else None)
    reason = _slug(told)
    return Refused(f"bulkgate_{reason}") if reason else Unsure("reply_unreadable")


def _only_number(answer: Answer) -> Mapping[str, Any]:
    """The part of the reply on our number: one of a list, or (transactional, older accounts) `data` itself."""
    data = answer.get("data")
    if not isinstance(data, dict):
        return {}
    lines = data.get("response", [data])
    first = lines[0] if isinstance(lines, list) and lines else {}
    return first if isinstance(first, dict) else {}


def _slug(text: object) -> str:
    return _SLUG.sub("_", text.lower()).strip("_")[:40] if isinstance(text, str) else ""
