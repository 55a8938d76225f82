"""Value of `cdp.dead-letters.v1`: what could not be processed, whole, and why."""

import msgspec


class DeadLetter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`raw` is the refused bytes, base64 in JSON. `reason` is a slug, `detail` says what to do.

    `origin_*` name the record it came from; an item refused by ingest has only `origin_topic` ("http") and
    its `source`. `at` is in milliseconds since the epoch.
    """

    id: str
    reason: str
    detail: str
    origin_topic: str
    raw: bytes
    at: int
    origin_partition: int | None = None
    origin_offset: int | None = None
    source: str | None = None
    message_id: str | None = None
    service: str = ""
