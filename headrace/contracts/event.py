"""An event as collected: the value of `cdp.events.v1`. Names are Segment's (tracking API, spec)."""

from typing import Literal

import msgspec

EventType = Literal["track", "identify", "page", "screen", "group", "alias"]


class ExternalId(msgspec.Struct, frozen=True):
    """One entry of `context.externalIds`: Segment's slot for loyalty cards, till and CRM ids."""

    id: str
    type: str
    collection: str = "users"
    encoding: str = "none"


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """A validated event. `properties`, `traits`, `context` and `integrations` are the sender's JSON objects,
    passed through byte for byte. Instants are ISO-8601 with milliseconds, UTC.

    `timestamp` is corrected for the client's clock; the other three instants are kept as the spec says.
    `source` names the write key's source; `trusted` says that the key may link identifiers (server keys);
    `imported` marks history, which never triggers messages.
    """

    type: EventType
    message_id: str
    source: str
    timestamp: str
    received_at: str
    original_timestamp: str | None = None
    sent_at: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    integrations: msgspec.Raw = msgspec.Raw(b"{}")
    channel: str | None = None
    version: str | None = None
    trusted: bool = False
    imported: bool = False


def event_key(user_id: str | None, anonymous_id: str | None, external_id: str | None) -> str:
    """Partition key of an event (DESIGN §3): userId, else anonymousId, else the first external id."""
    return user_id or anonymous_id or external_id or ""
