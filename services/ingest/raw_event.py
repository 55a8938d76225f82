"""What is only visible in an event's bytes: the sender's own spelling of its objects, doubled keys, U+0000."""

import json
import re
from typing import Any

import msgspec

from services.ingest.envelope import RawObject
from services.ingest.rejection import Rejected

EMPTY = msgspec.Raw(b"{}")

_ESCAPE = re.compile(rb"\\(?:u0000|.)", re.DOTALL)
_RESERVED = (
    *("type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "timestamp"),
    *("originalTimestamp", "properties", "traits", "context"),
)
_RESERVED_QUOTED = tuple(f'"{name}"'.encode() for name in _RESERVED)


class Parts(msgspec.Struct):
    """The bytes of the four objects that are passed on."""

    properties: msgspec.Raw = EMPTY
    traits: msgspec.Raw = EMPTY
    context: msgspec.Raw = EMPTY
    integrations: msgspec.Raw = EMPTY


_parts = msgspec.json.Decoder(Parts)
_object = msgspec.json.Decoder(RawObject)


def read_parts(raw: bytes) -> Parts:
    """The objects of an event that `decode_event` has read."""
    return _parts.decode(raw)


def read_object(raw: msgspec.Raw) -> RawObject:
    """An object's entries, each value as it was spelt."""
    return _object.decode(raw)


def strip_nul(raw: bytes) -> bytes:
    """Remove every escaped U+0000, which Postgres cannot store; `\\\\u0000` (an escaped backslash) stays."""
    return _ESCAPE.sub(lambda match: b"" if match[0] == b"\\u0000" else match[0], raw)


def demand_unique_keys(raw: bytes, parts: Parts) -> None:
    """JSON readers differ on which of two equal keys counts: an event that has one twice is ambiguous.

    Raises Rejected for the names that mean something to us. Counting them outside of the objects settles nearly
    every event; the others are parsed once more.
    """
    top = raw
    for part in (parts.properties, parts.context, parts.traits, parts.integrations):
        if len(part) > 2:
            top = top.replace(part, b"", 1)
    for name in _RESERVED_QUOTED:
        if top.count(name) > 1:
            _demand_unique_exactly(raw)
            return


def _demand_unique_exactly(raw: bytes) -> None:
    outermost: list[str] = []

    def remember(pairs: list[tuple[str, Any]]) -> None:
        outermost[:] = [name for name, _ in pairs]  # the last call is for the outermost object

    json.loads(raw, object_pairs_hook=remember, parse_int=str, parse_float=str)
    for name in _RESERVED:
        if outermost.count(name) > 1:
            raise Rejected("duplicate_key", f"Send {name} once.", malformed=True)
