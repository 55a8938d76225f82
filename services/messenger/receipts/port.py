"""What a provider's callback says, whichever provider it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from headrace.contracts.provider_callback import ProviderCallback

ReceiptOutcome = Literal["accepted", "delivered", "opened", "failed", "bounced", "complained"]


class Unreadable(HeadraceError):
    """The callback is none that this provider makes. The message says what is wrong, without the data."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message, named by our id, or else by the provider's. `opted_out`: the provider says that
    the address wants nothing any more; `permanent`: it will never be reached."""

    outcome: ReceiptOutcome
    at: Millis
    message_id: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    opted_out: bool = False
    permanent: bool = False
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a customer: `sender` in E.164, `recipient` the shop's number. `opt_out`: what the provider
    took it for (stop, start, help), if it says."""

    channel: str
    sender: str
    text: str
    provider_message_id: str
    at: Millis
    recipient: str = ""
    opt_out: Literal["stop", "start", "help"] | None = None


Told = Receipt | Inbound
Reader = Callable[[ProviderCallback], Sequence[Told]]
"""Raises Unreadable."""


def storable(told: Told) -> Told:
    """What Postgres can look up and keep. Raises Unreadable for an id or a number that no text of it can be; of a
    text that a customer wrote, such characters are left out."""
    if isinstance(told, Inbound):
        told = replace(told, text=_kept(told.text))
        named = (told.sender, told.provider_message_id, told.recipient)
    else:
        named = (told.message_id or "", told.provider_message_id or "", told.reason or "")
    if any(_kept(name) != name for name in named):
        raise Unreadable("an id, a number or a reason holds characters that are none of a text")
    return told


def _kept(text: str) -> str:
    """Without NUL, and without halves of characters."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def e164(number: object) -> str:
    """A number as providers write it (with or without +, or 00 before it) in E.164; empty for what is none."""
    text = str(number or "").strip()
    text = text.removeprefix("whatsapp:").removeprefix("viber:")
    digits = text.removeprefix("+").removeprefix("00")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15 else ""
