"""Value of `cdp.dead-letters.v1`: what could not be processed, whole, and why."""

import msgspec

from headrace.contracts.event import EventType
from headrace.contracts.headers import Headers


class HttpArrival(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """What the request said of an event beyond the event's own bytes: with it the event can be accepted later
    as it would have been then. `context` and `integrations` are the envelope's; instants are milliseconds."""

    type: EventType | None = None
    trusted: bool = False
    imported: bool = False
    envelope_sent_at: int | None = None
    header_sent_at: int | None = None
    ip: str | None = None
    context: dict[str, msgspec.Raw] = {}
    integrations: dict[str, msgspec.Raw] = {}


class DeadLetter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`raw` is the refused bytes, base64 in JSON. `reason` is a slug, `detail` says what to do.

    `origin_*` name the record it came from, `headers` are that record's; an item refused by ingest has only
    `origin_topic` ("http"), its `source` and its `arrival`. `at` is in milliseconds since the epoch. `complete`
    false: it was too large to be kept whole, and cannot be replayed.
    """

    id: str
    reason: str
    detail: str
    origin_topic: str
    raw: bytes
    at: int
    origin_partition: int | None = None
    origin_offset: int | None = None
    headers: Headers = ()
    source: str | None = None
    message_id: str | None = None
    arrival: HttpArrival | None = None
    complete: bool = True
    service: str = ""
