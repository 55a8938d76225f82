"""NDJSON: one Segment message a line, sent as it is."""

from hashlib import blake2b

import msgspec

from headrace.importing.outcome import Outgoing, Rejection

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_EMPTY = {b"null", b'""'}


def read_message(line: int, content: bytes) -> Outgoing | Rejection:
    """The message on a line. Without a messageId it gets one from the line's number and content, so that the
    same file gives the same ids."""
    try:
        message = _decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        return Rejection(line, "", f"is no JSON object: {error}")
    message_id = _text(message.get("messageId"))
    if not message_id:
        message_id = "line:" + blake2b(content, digest_size=16, salt=line.to_bytes(16, "big")).hexdigest()
        message["messageId"] = msgspec.Raw(msgspec.json.encode(message_id))
        content = msgspec.json.encode(message)
    lane = _text(message.get("userId")) or _text(message.get("anonymousId")) or message_id
    return Outgoing(line, 1, lane, message_id, content)


def _text(raw: msgspec.Raw | None) -> str:
    """A JSON value as text: a string's content, anything else as written, empty when there is none."""
    if raw is None or bytes(raw) in _EMPTY:
        return ""
    written = bytes(raw)
    return msgspec.json.decode(written, type=str) if written.startswith(b'"') else written.decode()
