"""WhatsApp Cloud's webhooks: `entry[].changes[].value` with statuses, or messages from customers."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from headrace.contracts.instant import Millis
from headrace.contracts.provider_callback import ProviderCallback
from services.messenger.receipts.port import Inbound, Receipt, ReceiptOutcome, Told, Unreadable, e164

_OUTCOMES: dict[str, ReceiptOutcome] = {
    "sent": "accepted",
    "delivered": "delivered",
    "read": "opened",
    "failed": "failed",
}
_PERMANENT = frozenset({131026})  # the number has no WhatsApp


class _Error(msgspec.Struct):
    code: int = 0


class _Status(msgspec.Struct):
    id: str
    status: str
    timestamp: str = ""
    errors: list[_Error] = []


class _Text(msgspec.Struct):
    body: str = ""


class _Message(msgspec.Struct):
    id: str
    sender: str = msgspec.field(name="from")
    timestamp: str = ""
    type: str = "text"
    text: _Text | None = None
    button: dict[str, Any] | None = None


class _Value(msgspec.Struct):
    statuses: list[_Status] = []
    messages: list[_Message] = []
    metadata: dict[str, Any] = {}


class _Change(msgspec.Struct):
    value: _Value


class _Entry(msgspec.Struct):
    changes: list[_Change] = []


class _Hook(msgspec.Struct):
    entry: list[_Entry]


_decoder = msgspec.json.Decoder(_Hook)


def read(callback: ProviderCallback) -> Sequence[Told]:
    try:
        hook = _decoder.decode(callback.body)
    except msgspec.DecodeError as error:
        raise Unreadable("it is no webhook of WhatsApp") from error
    return [one for entry in hook.entry for change in entry.changes for one in _told(change.value, callback)]


def _told(value: _Value, callback: ProviderCallback) -> Iterator[Told]:
    for status in value.statuses:
        outcome = _OUTCOMES.get(status.status)
        if outcome is not None:
            code = status.errors[0].code if status.errors else 0
            yield Receipt(
                outcome,
                _at(status.timestamp, callback.received_at),
                None,
                status.id,
                f"whatsapp_{code}" if outcome == "failed" else None,
                permanent=code in _PERMANENT,
                channel="whatsapp",
            )
    recipient = e164(value.metadata.get("display_phone_number"))
    for message in value.messages:
        sender = e164(message.sender)
        text = message.text.body if message.text is not None else str((message.button or {}).get("text") or "")
        if sender:
            said = text or f"[{message.type}]"
            at = _at(message.timestamp, callback.received_at)
            yield Inbound("whatsapp", sender, said, message.id, at, recipient)


def _at(seconds: str, otherwise: Millis) -> Millis:
    """Not later than when it was received: a clock that is ahead says nothing of the future."""
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 11):
        return otherwise
    return min(int(seconds) * 1000, otherwise)
