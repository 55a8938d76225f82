"""The provider port: hands one finished message over and says what is known of its fate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from headrace.contracts.definition import Purpose


@dataclass(frozen=True, slots=True)
class Fallback:
    """What the provider itself sends on the next channel when it cannot deliver on the first."""

    channel: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A finished message. `id` is the same on every attempt. `to` is E.164, an e-mail address in ASCII, or a
    webhook's URL; `text` of a webhook is its JSON body.

    `one_click_url` is the RFC 8058 unsubscribe link of a marketing message. `at` is the instant of the claim,
    milliseconds since the epoch. `extras` are what only one channel has: of WhatsApp `name`, `language` and
    `parameters` (texts), of Viber `image_url`, `button` and `button_url`.
    """

    id: str
    campaign_id: str
    to: str
    text: str
    at: int
    channel: str = "sms"
    purpose: Purpose = "marketing"
    subject: str | None = None
    html: str | None = None
    one_click_url: str | None = None
    fallback: Fallback | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message on, now or at an earlier attempt."""

    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take this message on. `reason` is a slug without personal data."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly not taken on, and a later attempt may be: unreachable, or told to wait `retry_after_ms`.

    `concerns` says what else must wait: `message` nothing, `rate` all messages to this provider for as long,
    `provider` is one sign that the provider is down (it cannot be reached, or refuses us whatever we send).
    """

    reason: str
    retry_after_ms: int | None = None
    concerns: Literal["message", "rate", "provider"] = "message"


@dataclass(frozen=True, slots=True)
class Unsure:
    """The reply was lost or is no answer: the message may have been taken on. Never repeated blindly."""

    reason: str


SEND_SECONDS = 40.0
SendResult = Accepted | Refused | NotSent | Unsure


class Provider(Protocol):
    """One way to send on one channel or several. Safe for concurrent tasks of one event loop."""

    name: str
    """Slug for reports and metrics."""

    idempotent: bool
    """True when a repeated `id` is recognised, so that a send whose fate is unknown may be repeated."""

    cascades: frozenset[tuple[str, str]]
    """Pairs (channel, next channel) that it goes through by itself: then `Outgoing.fallback` may be given."""

    async def send(self, message: Outgoing) -> SendResult:
        """Hand the message over; ends by itself within `SEND_SECONDS`. What a provider does wrong is a result,
        not an exception. Not to be cancelled: a cancelled send is one whose fate nobody knows."""
        ...

    async def forget(self, message_ids: Sequence[str]) -> None:
        """Take what these messages said, and to whom, out of what the provider keeps with us; their ids stay
        known. Idempotent. Raises OSError: repeat. What has left the deployment cannot be called back."""
        ...

    async def close(self) -> None:
        """Free connections. Idempotent; tolerates never-used."""
        ...


NO_CASCADES: frozenset[tuple[str, str]] = frozenset()
