"""Log records of what ingest decided: accepted events and dead letters."""

from functools import lru_cache

import msgspec

from headrace.contracts.dead_letter import DeadLetter, HttpArrival
from headrace.contracts.event import Event
from headrace.contracts.headers import TRACEPARENT, Headers, cloud_event
from headrace.contracts.ids import content_id
from headrace.log.port import NewRecord
from services.ingest.rejection import Rejected
from services.ingest.validation import Accepted, Arrival

HTTP = "http"
"""Origin of a dead letter that came by HTTP and from no topic."""

# Base64 makes 4 bytes of 3: the dead letter stays below the 1 MiB that a log takes as a record.
MAX_DEAD_LETTER_RAW = 640 * 1024
# What the envelope says goes into the letter of each of its events, of which there may be hundreds.
MAX_DEAD_LETTER_SHARED = 16 * 1024

_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=256)
def _around_id(source: str) -> tuple[Headers, Headers]:
    """The headers before and behind an event's id, a trace apart."""
    headers = cloud_event(kind="event.collected.v1", event_id="", source=source)
    place = [name for name, _ in headers].index("ce_id")
    return headers[:place], headers[place + 1 :]


class EventRecords:
    """Makes the records of one request's events, whose headers differ in the id only."""

    def __init__(self, source: str, traceparent: str) -> None:
        self._before, behind = _around_id(source)
        self._behind = (*behind, (TRACEPARENT, traceparent.encode())) if traceparent else behind

    def record(self, key: str, message_id: str, value: bytes) -> NewRecord:
        """`value` is an encoded event."""
        return NewRecord(key.encode(), value, (*self._before, ("ce_id", message_id.encode()), *self._behind))


def event_record(accepted: Accepted, traceparent: str) -> NewRecord:
    event = accepted.event
    return EventRecords(event.source, traceparent).record(accepted.key, event.message_id, encode_event(event))


def encode_event(event: Event) -> bytes:
    return _encode(event)


def dead_letter(raw: bytes, rejected: Rejected, arrival: Arrival, traceparent: str) -> NewRecord:
    """What a sender gets no second chance to send. The id comes from the content: a batch that is sent again
    gives the same dead letter again."""
    source = arrival.source.name
    identity = content_id("d", source, rejected.code, raw.hex())
    detail = rejected.detail
    if len(raw) > MAX_DEAD_LETTER_RAW:
        detail = f"{detail} (the first {MAX_DEAD_LETTER_RAW} of {len(raw)} bytes are kept)"
    letter = DeadLetter(
        id=identity,
        reason=rejected.code,
        detail=detail,
        origin_topic=HTTP,
        raw=raw[:MAX_DEAD_LETTER_RAW],
        at=arrival.received_at,
        source=source,
        message_id=rejected.message_id,
        arrival=_kept(arrival),
        complete=len(raw) <= MAX_DEAD_LETTER_RAW and arrival.shared_bytes <= MAX_DEAD_LETTER_SHARED,
        service="ingest",
    )
    headers = cloud_event(kind="dead-letter.v1", event_id=identity, source=source, traceparent=traceparent)
    return NewRecord((rejected.message_id or identity).encode(), _encode(letter), headers)


def _kept(arrival: Arrival) -> HttpArrival:
    shared = arrival.shared_bytes <= MAX_DEAD_LETTER_SHARED
    return HttpArrival(
        type=arrival.type,
        trusted=arrival.source.trusted,
        imported=arrival.imported,
        envelope_sent_at=arrival.envelope_sent_at,
        header_sent_at=arrival.header_sent_at,
        ip=arrival.ip,
        context=arrival.context if shared else {},
        integrations=arrival.integrations if shared else {},
    )
