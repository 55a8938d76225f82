"""Reports about mails: delivery status (RFC 3464) and complaints (RFC 5965, ARF), as the shop's mail server got
them.

The message is named by the Message-ID of the mail that the report encloses, or by its VERP address.
"""

import re
from collections.abc import Iterator, Sequence
from email import message_from_string, policy
from email.errors import MessageError
from email.message import EmailMessage, Message

from headrace.contracts.provider_callback import ProviderCallback
from services.messenger.receipts.port import Receipt, Told, Unreadable

_OUR_ID = re.compile(r"\b(s[0-9a-f]{32})(?:@|\b)")
_STATUS = re.compile(r"([245])\.\d{1,3}\.\d{1,3}")


def read(callback: ProviderCallback) -> Sequence[Told]:
    try:
        mail = message_from_string(callback.body, policy=policy.default)
        kind = str(mail.get_param("report-type", "") or "").lower()
        told = list(_read(mail, kind, callback))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, KeyError, IndexError) as error:
        # the parser keeps faults of a mail to itself until a header is asked for
        raise Unreadable("it is no report that can be read") from error
    if not told:
        raise Unreadable("it is no delivery status or feedback report about a message of ours")
    return told


def _read(mail: EmailMessage | Message, kind: str, callback: ProviderCallback) -> Iterator[Told]:
    message_id = _message_id(mail, callback.query)
    if message_id is None:
        return
    for part in mail.walk():
        content = part.get_content_type()
        if content == "message/delivery-status" and kind == "delivery-status":
            yield from _delivery(part, message_id, callback)
        elif content == "message/feedback-report" and kind == "feedback-report":
            fields = str(part.get_payload(0) if part.is_multipart() else part.get_payload()).lower()
            if "feedback-type:" not in fields or "feedback-type: abuse" in fields:
                yield Receipt("complained", callback.received_at, message_id, channel="email")


def _delivery(part: Message, message_id: str, callback: ProviderCallback) -> Iterator[Told]:
    """A block of fields for the message, and one for each recipient."""
    payload = part.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if not isinstance(block, Message):
            continue
        action = str(block.get("Action", "")).strip().lower()
        status = _STATUS.search(str(block.get("Status", "")))
        if action == "delivered":
            yield Receipt("delivered", callback.received_at, message_id, channel="email")
        elif action == "failed":
            hard = status is None or status[1] == "5"
            reason = f"smtp_{status[0]}" if status is not None else "undelivered"
            outcome_at = callback.received_at
            yield Receipt("bounced", outcome_at, message_id, reason=reason, permanent=hard, channel="email")


def _message_id(mail: EmailMessage | Message, query: str) -> str | None:
    """Of the enclosed mail's Message-ID, else of the address that the report was sent to."""
    for part in mail.walk():
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            found = _OUR_ID.search(_enclosed(part))
            if found is not None:
                return found[1]
    found = _OUR_ID.search(
        f"{mail.get('To', '')} {mail.get('Delivered-To', '')} {mail.get('X-Original-To', '')} {query}"
    )
    return found[1] if found is not None else None


def _enclosed(part: Message) -> str:
    payload = part.get_payload()
    if isinstance(payload, list):
        return " ".join(str(inner.get("Message-ID", "")) for inner in payload if isinstance(inner, Message))
    headers = message_from_string(str(payload), policy=policy.default)
    return str(headers.get("Message-ID", ""))
