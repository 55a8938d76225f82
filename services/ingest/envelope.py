"""The body of a request taken apart: the envelope's own fields and the raw bytes of each event."""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.contracts.errors import ApiError
from services.ingest.rejection import Rejected

RawObject = dict[str, msgspec.Raw]


class _Wire(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw] | None = None
    write_key: Any = None
    sent_at: Any = None
    context: RawObject | None = None
    integrations: RawObject | None = None


class Envelope(msgspec.Struct, frozen=True):
    """Events as sent, and what the envelope says about all of them. `context` and `integrations` go under each
    event's own."""

    items: Sequence[bytes | msgspec.Raw]
    write_key: Any = None
    sent_at: Any = None
    context: RawObject = {}
    integrations: RawObject = {}

    def shared_bytes(self) -> int:
        """What the envelope adds to every event."""
        return sum(
            len(name) + len(value)
            for shared in (self.context, self.integrations)
            for name, value in shared.items()
        )


class _Single(msgspec.Struct, rename="camel"):
    write_key: Any = None
    sent_at: Any = None


_single = msgspec.json.Decoder(_Single)
_wire = msgspec.json.Decoder(_Wire)
_any = msgspec.json.Decoder()

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")
_UTF8_MARK = b"\xef\xbb\xbf"


def read_single(body: bytes) -> Envelope:
    """A body that is one event. Raises ApiError 400 or 415 when it is no JSON object."""
    try:
        head = _single.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(body, error) from error
    return Envelope([body], head.write_key, head.sent_at)


def read_batch(body: bytes, limit: int) -> Envelope:
    """A body `{"batch": [...]}` of at most `limit` events. Raises ApiError 400, 413 or 415."""
    envelope = _read_wire(body)
    if len(envelope.items) > limit:
        raise ApiError(413, "batch_too_large", f"Send at most {limit} events in a batch.")
    return envelope


def read_import(body: bytes) -> Envelope:
    """History: the batch shape of any length, or one event a line (NDJSON)."""
    try:
        return _read_wire(body)
    except ApiError as error:
        lines = [line for raw in body.split(b"\n") if (line := raw.strip())]
        if error.code not in {"malformed_json", "missing_batch"} or not lines or not _is_object(lines[0]):
            raise
        return Envelope(lines)


def _read_wire(body: bytes) -> Envelope:
    try:
        wire = _wire.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(body, error) from error
    if wire.batch is None:
        raise ApiError(400, "missing_batch", 'Send the events as {"batch": [...]}, or one event to /v1/track.')
    if not wire.batch:
        raise ApiError(400, "empty_batch", "Send at least one event in a batch.")
    return Envelope(wire.batch, wire.write_key, wire.sent_at, wire.context or {}, wire.integrations or {})


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_any.decode(line), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _unreadable(body: bytes, error: Exception) -> ApiError:
    if not body.strip():
        return ApiError(400, "empty_body", "Send a JSON object.")
    if body.startswith(_UTF16_MARKS):
        return ApiError(415, "unsupported_charset", "Send the body as UTF-8.")
    if body.startswith(_UTF8_MARK):
        return ApiError(400, "malformed_json", "Send UTF-8 without a byte order mark.")
    if isinstance(error, RecursionError):
        return ApiError(400, "too_deep", "The JSON is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return ApiError(400, "malformed_json", "The body is not valid UTF-8.")
    if isinstance(error, msgspec.ValidationError):
        return ApiError(400, "invalid_body", f"Send a JSON object: {error}.")
    return ApiError(400, "malformed_json", f"The body is not valid JSON: {error}.")


def decode_event(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """One event as a dict. Raises Rejected (malformed) when a strict reader refuses it."""
    try:
        fields = _any.decode(raw)
    except RecursionError as error:
        raise Rejected("too_deep", "The JSON is nested too deeply.", malformed=True) from error
    except UnicodeDecodeError as error:
        raise Rejected("malformed_json", "Not valid UTF-8.", malformed=True) from error
    except msgspec.ValidationError as error:
        raise Rejected("number_out_of_range", "A number is too large to be kept.", malformed=True) from error
    except msgspec.DecodeError as error:
        raise Rejected("malformed_json", f"Not valid JSON: {error}.", malformed=True) from error
    if not isinstance(fields, dict):
        raise Rejected("not_an_object", "Send each event as a JSON object.", malformed=True)
    return fields
