"""Record headers: CloudEvents 1.0 Kafka binary binding, W3C trace context and our own."""

import re
from collections.abc import Iterable

Headers = tuple[tuple[str, bytes], ...]

SOURCE = "headrace-source"
EPOCH = "headrace-epoch"
SEQ = "headrace-seq"
POSITION = "headrace-position"
RECEIVED = "headrace-received"
TRACEPARENT = "traceparent"
TRACEPARENT_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_RECEIPT_DIGITS = 15
CONTENT_TYPE = ("content-type", b"application/json")


def cloud_event(
    *, kind: str, event_id: str, source: str, subject: str | None = None, traceparent: str | None = None
) -> Headers:
    """Headers of a record that starts a chain: `ce_type` = io.headrace.<kind>."""
    pairs = [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"io.headrace.{kind}".encode()),
        ("ce_source", f"headrace/{source}".encode()),
        ("ce_id", event_id.encode()),
        CONTENT_TYPE,
    ]
    if subject is not None:
        pairs.append(("ce_subject", subject.encode()))
    if traceparent:
        pairs.append((TRACEPARENT, traceparent.encode()))
    return tuple(pairs)


def store_output(*, source: str, epoch: int, seq: int, position: str) -> Headers:
    """Headers of a store's output: who, which epoch, the dense number, and the position it stands for."""
    return (
        (SOURCE, source.encode()),
        (EPOCH, str(epoch).encode()),
        (SEQ, str(seq).encode()),
        (POSITION, position.encode()),
    )


def carried_receipt(headers: Headers) -> int:
    """When the event was received that caused this record, in milliseconds since the epoch; 0 when it does not
    say, or says nonsense."""
    raw = header(headers, RECEIVED)
    return int(raw) if raw is not None and len(raw) <= _RECEIPT_DIGITS and raw.isdigit() else 0


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """The last header called `name`, or None."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def carried_trace(headers: Headers) -> str | None:
    """The traceparent that a record carries, None for none or a malformed one: it goes into stores and headers."""
    raw = header(headers, TRACEPARENT)
    text = raw.decode("ascii", "replace") if raw is not None else ""
    return text if TRACEPARENT_FORM.fullmatch(text) else None
