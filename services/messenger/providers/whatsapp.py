"""WhatsApp by Meta's Cloud API: approved templates with parameters. Not idempotent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.messenger.providers.http import Answer, HttpApi, throttled
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

# Meta asks to go by the code in the body, not by the status
_THROTTLED = frozenset({4, 80007, 130429, 131048})
_PAIR_THROTTLED = 131056
_PAIR_WAIT_MS = 60_000
_ABOUT_US = frozenset({0, 3, 10, 190, 368, 131031, 131042, *range(200, 300)})
"""Token, permissions, a locked or unpaid account."""
_UNAVAILABLE = frozenset({1, 2, 131000, 131016})


@dataclass(frozen=True, slots=True)
class WhatsAppAccount:
    """`url` is Meta's, with the version: `https://graph.facebook.com/v23.0`."""

    url: str
    phone_id: str
    token: str


class WhatsAppProvider:
    """`POST /{version}/{PHONE_ID}/messages` of type template. `Outgoing.extras` hold its name, language and
    parameters; `text` is what the template says, which Meta knows already."""

    idempotent = False
    cascades = NO_CASCADES

    def __init__(self, account: WhatsAppAccount, *, name: str = "whatsapp", timeout: float = SEND_SECONDS) -> None:
        self.name = name
        self.account = account
        self._url = f"{account.url}/{account.phone_id}/messages"
        self._api = HttpApi(name, {"Authorization": f"Bearer {account.token}"}, timeout=timeout)

    async def send(self, message: Outgoing) -> SendResult:
        return await self._api.post(self._url, _judge, document=_document(message))

    async def forget(self, message_ids: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        await self._api.close()


def _document(message: Outgoing) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to.removeprefix("+"),
        **_content(message),
        "biz_opaque_callback_data": message.id,  # comes back with what became of it
    }


def _content(message: Outgoing) -> dict[str, Any]:
    """Without a template it is an answer in own words, which Meta takes for a day after the customer wrote."""
    if "name" not in message.extras:
        return {"type": "text", "text": {"body": message.text, "preview_url": False}}
    template: dict[str, Any] = {
        "name": message.extras["name"],
        "language": {"code": message.extras.get("language", "en")},
    }
    parameters = [{"type": "text", "text": _line(text)} for text in message.extras.get("parameters", ())]
    if parameters:
        template["components"] = [{"type": "body", "parameters": parameters}]
    return {"type": "template", "template": template}


def _line(text: str) -> str:
    """Meta refuses a parameter with line ends, tabs or many spaces, and an empty one."""
    return " ".join(text.split()) or "-"


def _judge(status: int, answer: Answer) -> SendResult:
    if 200 <= status < 300:
        return _taken_on(answer)
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        return Refused(f"http_{status}")
    if code in _THROTTLED:
        return throttled(f"whatsapp_{code}")
    if code == _PAIR_THROTTLED:
        return NotSent(f"whatsapp_{code}", _PAIR_WAIT_MS)
    if code in _ABOUT_US:
        return NotSent(f"whatsapp_{code}", concerns="provider")
    return Unsure(f"whatsapp_{code}") if code in _UNAVAILABLE else Refused(f"whatsapp_{code}")


def _taken_on(answer: Answer) -> SendResult:
    messages = answer.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    wamid = first.get("id") if isinstance(first, dict) else None
    return Accepted(wamid) if isinstance(wamid, str) else Unsure("reply_unreadable")
