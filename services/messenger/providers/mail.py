"""The mail itself: MIME as relays, mailbox providers and RFC 8058 want it. Pure."""

from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import quote

from headrace.contracts.instant import EPOCH
from services.messenger.providers.port import Outgoing

_POLICY = SMTP.clone(cte_type="7bit")  # not every relay offers 8BITMIME


_FEEDBACK_CHARS = 15


def mail_bytes(message: Outgoing, *, sender: str, unsubscribe: str | None = None) -> bytes:
    """The mail as it goes over the wire; byte-identical on every attempt, Message-ID and boundary included.

    `unsubscribe` is an address of the shop's that takes unsubscribing by mail: its subject names the message.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = message.subject or ""
    mail["Date"] = format_datetime(EPOCH + timedelta(milliseconds=message.at))
    mail["Message-ID"] = f"<{message.id}@{sender_domain(sender)}>"
    mail["X-Campaign"] = message.campaign_id
    mail["Feedback-ID"] = f"{message.campaign_id}:{message.purpose}:{message.channel}:{_feedback_sender(sender)}"
    if message.one_click_url:
        by_mail = _mailto(unsubscribe, message.id) if unsubscribe else ""
        mail["List-Unsubscribe"] = f"<{message.one_click_url}>{by_mail}"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if message.purpose == "marketing":
        mail["Precedence"] = "bulk"
    else:
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday note answers it
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
        mail.set_boundary(f"=_{message.id}")
    return mail.as_bytes()


def envelope_sender(sender: str) -> str:
    """The bare address of `Shop <shop@example.com>`."""
    return parseaddr(sender)[1]


def bounce_sender(sender: str, message_id: str) -> str:
    """The envelope's sender of one message (VERP): what comes back to it tells which one bounced."""
    return f"bounce+{message_id}@{sender_domain(sender)}"


def sender_domain(sender: str) -> str:
    return envelope_sender(sender).rpartition("@")[2] or "localhost"


def _mailto(address: str, message_id: str) -> str:
    return f", <mailto:{quote(address, safe='@+')}?subject=unsubscribe%20{message_id}>"


def _feedback_sender(sender: str) -> str:
    """Gmail's postmaster tools tell senders apart by it: 5 to 15 characters, the same in every mail."""
    letters = "".join(c for c in sender_domain(sender).lower() if c.isalnum() and c.isascii())
    return letters[:_FEEDBACK_CHARS].ljust(5, "0")
