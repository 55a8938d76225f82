"""Setting a log record aside that cannot be processed, so that its partition goes on."""

import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.headers import carried_trace, cloud_event
from headrace.contracts.ids import content_id
from headrace.contracts.instant import Millis
from headrace.log.port import NewRecord, Record

MAX_RAW_BYTES = 640 * 1024
"""Base64 makes 4 bytes of 3: the dead letter of the largest record stays below what a log takes as a record."""
MAX_HEADER_BYTES = 64 * 1024


def dead_letter(record: Record, reason: str, detail: str, *, service: str, at: Millis) -> NewRecord:
    """The record for `cdp.dead-letters.v1`. Its id comes from where the origin stands: a repeat is recognisable.
    The origin's trace goes on."""
    raw = record.value or b""
    complete = len(raw) <= MAX_RAW_BYTES
    headers = record.headers
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        headers, complete = (), False
    letter = DeadLetter(
        id=content_id("d", record.topic, record.partition, record.offset),
        reason=reason,
        detail=detail[:1000],
        origin_topic=record.topic,
        raw=raw[:MAX_RAW_BYTES],
        at=at,
        origin_partition=record.partition,
        origin_offset=record.offset,
        headers=headers,
        complete=complete,
        service=service,
    )
    about = cloud_event(
        kind="dead-letter.v1", event_id=letter.id, source=service, traceparent=carried_trace(record.headers)
    )
    key = record.key if record.key is None or len(record.key) <= MAX_HEADER_BYTES else None
    return NewRecord(key, msgspec.json.encode(letter), about)
