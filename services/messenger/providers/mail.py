"""The mail itself: MIME as relays, mailbox providers and RFC 8058 want it. Pure."""

from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from headrace.contracts.instant import EPOCH
from services.messenger.providers.port import Outgoing

_POLICY = SMTP.clone(cte_type="7bit")  # not every relay offers 8BITMIME


def mail_bytes(message: Outgoing, *, sender: str) -> bytes:
    """The mail as it goes over the wire; byte-identical on every attempt, Message-ID and boundary included."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = message.subject or ""
    mail["Date"] = format_datetime(EPOCH + timedelta(milliseconds=message.at))
    mail["Message-ID"] = f"<{message.id}@{sender_domain(sender)}>"
    mail["X-Campaign"] = message.campaign_id
    if message.one_click_url:
        mail["List-Unsubscribe"] = f"<{message.one_click_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail["Precedence"] = "bulk"
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
        mail.set_boundary(f"=_{message.id}")
    return mail.as_bytes()


def envelope_sender(sender: str) -> str:
    """The bare address of `Shop <shop@example.com>`."""
    return parseaddr(sender)[1]


def sender_domain(sender: str) -> str:
    return envelope_sender(sender).rpartition("@")[2] or "localhost"
