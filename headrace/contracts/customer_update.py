"""A second value of `cdp.messages.v1`: what the messenger tells the profile service about a customer that is no
outcome of a message: a journey's step, an answer, a choice on the preferences page.

It tells itself from an outcome by `kind`. The profile service makes an event of it on the customer's timeline,
once per `message_id`; a profile that is gone by then gets none.
"""

from typing import Any, Literal

import msgspec

from headrace.contracts.message import MessageOutcome
from headrace.contracts.profile_event import ConsentStatus


class CustomerUpdate(
    msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, tag_field="kind", tag="update"
):
    """`event` is the event's name (None: an identify call). `traits` to set (null takes one away), `tags` by name
    (true puts on), `consents` by channel. `at` is in milliseconds since the epoch."""

    message_id: str
    profile_id: str
    at: int
    event: str | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    tags: dict[str, bool] = {}
    consents: dict[str, ConsentStatus] = {}
    campaign_id: str | None = None
    entry_id: str | None = None
    step: str | None = None
    type: Literal["track", "identify"] = "track"


MessageRecord = MessageOutcome | CustomerUpdate
"""Every value of `cdp.messages.v1`."""
