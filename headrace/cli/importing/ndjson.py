"""NDJSON: one Segment message a line, sent as it is."""

import msgspec

from headrace.cli.importing.source import MAX_LINE_BYTES
from headrace.contracts.ids import content_id
from headrace.importing.outcome import Outgoing, Rejection

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_sorted = msgspec.json.Encoder(order="sorted").encode
_EMPTY = {b"null", b'""'}


class LineReader:
    """Reads the lines of one import."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def read(self, line: int, content: bytes) -> Outgoing | Rejection:
        """The message on a line. Without a messageId it gets one that follows from what it says: lines may come in
        another order, and fields in a line. Of lines that say the same each is a message of its own."""
        if len(content) > MAX_LINE_BYTES:
            return Rejection(line, "", f"has more than {MAX_LINE_BYTES} bytes")
        try:
            message = _decode(content)
            message_id = _text(message.get("messageId"))
            if not message_id:
                message_id = self._id_of(content)
                message["messageId"] = msgspec.Raw(msgspec.json.encode(message_id))
                content = msgspec.json.encode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Rejection(line, "", f"is no JSON object: {error}")
        lane = _text(message.get("userId")) or _text(message.get("anonymousId")) or message_id
        return Outgoing(line, 1, lane, message_id, content)

    def _id_of(self, content: bytes) -> str:
        said = _sorted(msgspec.json.decode(content)).decode()
        digest = hash(said)
        number = self._times.get(digest, 0)
        self._times[digest] = number + 1
        return content_id("i", said, number)


def _text(raw: msgspec.Raw | None) -> str:
    """A JSON value as text: a string's content, anything else as written, empty when there is none."""
    if raw is None or bytes(raw) in _EMPTY:
        return ""
    written = bytes(raw)
    return msgspec.json.decode(written, type=str) if written.startswith(b'"') else written.decode()
