"""Value of `cdp.messages.v1`: one outcome of one message (or a `customer_update`)."""

from typing import Literal

import msgspec

MessageStatus = Literal["pending", "claimed", "accepted", "delivered", "failed", "bounced", "skipped", "unknown"]
Outcome = Literal[
    "accepted",
    "delivered",
    "failed",
    "bounced",
    "skipped",
    "unknown",
    "opened",
    "clicked",
    "unsubscribed",
    "complained",
]
Channel = Literal["sms", "email", "viber", "whatsapp", "webhook"]


class MessageOutcome(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="outcome"):
    """What became of message `id`. `message_id` is the outcome's own id, for deduplication:
    hash(message id, outcome, link, occurrence). `at` is in milliseconds since the epoch. `machine`: it was opened
    by a mail proxy or a scanner, not by a person, as far as one can tell."""

    message_id: str
    id: str
    outcome: Outcome
    channel: Channel
    profile_id: str
    campaign_id: str
    campaign_version: int
    entry_id: str
    step: str
    at: int
    segment_id: str | None = None
    reason: str | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    link: str | None = None
    machine: bool = False
