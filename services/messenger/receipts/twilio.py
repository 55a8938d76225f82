"""Twilio's callbacks: a form with MessageStatus, or with Body for a message from a customer."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from headrace.contracts.provider_callback import ProviderCallback
from services.messenger.receipts.port import Inbound, Receipt, ReceiptOutcome, Told, Unreadable, e164

_OUTCOMES: dict[str, ReceiptOutcome] = {
    "queued": "accepted",
    "accepted": "accepted",
    "scheduled": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "delivered": "delivered",
    "read": "opened",
    "undelivered": "failed",
    "failed": "failed",
}
_OPTED_OUT = frozenset({"21610"})
_PERMANENT = frozenset({"21211", "21614", "30005", "30006", "63003", "63013"})


def read(callback: ProviderCallback) -> Sequence[Told]:
    form = {name: values[-1] for name, values in parse_qs(callback.body, keep_blank_values=True).items()}
    query = {name: values[-1] for name, values in parse_qs(callback.query).items()}
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    status = form.get("MessageStatus") or form.get("SmsStatus") or ""
    if status and status != "received":
        return _receipt(callback, form, sid, status, query.get("m"))
    sender = e164(form.get("From"))
    if not sid or not sender or "Body" not in form:
        raise Unreadable("it has neither a MessageStatus nor a Body with From and MessageSid")
    word = {"STOP": "stop", "START": "start", "HELP": "help"}.get(form.get("OptOutType", "").upper())
    channel = "whatsapp" if form.get("From", "").startswith("whatsapp:") else "sms"
    return [
        Inbound(channel, sender, form["Body"], sid, callback.received_at, e164(form.get("To")), word)  # type: ignore[arg-type]
    ]


def _receipt(
    callback: ProviderCallback, form: dict[str, str], sid: str, status: str, message_id: str | None
) -> Sequence[Told]:
    outcome = _OUTCOMES.get(status)
    if outcome is None:
        return ()  # a state that says nothing of the end, such as canceled by hand
    code = form.get("ErrorCode", "")
    known = code.isascii() and code.isdigit() and outcome == "failed"
    return [
        Receipt(
            outcome,
            callback.received_at,
            message_id,
            sid or None,
            f"twilio_{code}" if known else ("undelivered" if outcome == "failed" else None),
            opted_out=code in _OPTED_OUT,
            permanent=code in _PERMANENT,
        )
    ]
