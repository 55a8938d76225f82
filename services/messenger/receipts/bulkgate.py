"""BulkGate's delivery reports: the query of a GET, or a JSON array of such objects; status 10 is a message from a
customer."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from headrace.contracts.provider_callback import ProviderCallback
from services.messenger.receipts.port import Inbound, Receipt, ReceiptOutcome, Told, Unreadable, e164

_OUTCOMES: dict[str, ReceiptOutcome] = {"1": "delivered", "2": "accepted", "3": "failed", "13": "opened"}
_INCOMING = "10"
_OUR_ID = "s"
_MAX_ITEMS = 1_000


def read(callback: ProviderCallback) -> Sequence[Told]:
    if callback.body.strip():
        try:
            found: Any = msgspec.json.decode(callback.body)
        except msgspec.DecodeError as error:
            raise Unreadable("it is no JSON") from error
        items = found if isinstance(found, list) else [found]
    else:
        items = [{name: values[-1] for name, values in parse_qs(callback.query).items()}]
    told = [one for item in items[:_MAX_ITEMS] if isinstance(item, Mapping) and (one := _told(item, callback))]
    if not told and not any(isinstance(item, Mapping) and "status" in item for item in items):
        raise Unreadable("it has no status")
    return told


def _told(item: Mapping[str, Any], callback: ProviderCallback) -> Told | None:
    status = str(item.get("status", ""))
    provider_id = str(item.get("smsID") or item.get("message_id") or "")
    channel = str(item.get("channel") or "sms").lower()
    if status == _INCOMING:
        sender = e164(item.get("from"))
        text = item.get("message")
        if not sender or not isinstance(text, str) or not provider_id:
            return None
        return Inbound(channel, sender, text, provider_id, callback.received_at, e164(item.get("to")))
    outcome = _OUTCOMES.get(status)
    if outcome is None:
        return None
    tag = str(item.get("tag") or "")
    return Receipt(
        outcome,
        callback.received_at,
        tag if tag.startswith(_OUR_ID) and len(tag) == 33 else None,
        provider_id or None,
        "undelivered" if outcome == "failed" else None,
        channel=channel if channel in ("sms", "viber", "whatsapp") else None,
    )
