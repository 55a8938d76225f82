"""The usual event, accepted at a fraction of what the full validation costs.

`UsualReader.read` gives exactly the event that `validation.validate` gives, or None: then `validate` decides. It
never refuses an event itself. The event is decoded once, into a struct whose objects stay bytes. What the decoder
does not look at inside of them is proved from the bytes as a whole: that they are UTF-8, that no number is out of
range, that nothing is too deep, too many or too long, and that no key stands twice.
"""

from functools import lru_cache

import msgspec
from msgspec import UNSET, Raw, UnsetType

from headrace.contracts.identifiers import is_placeholder
from headrace.contracts.instant import format_instant, parse_instant
from services.ingest.clock import correct, parse_sent_at, parse_time
from services.ingest.raw_event import EMPTY, read_object
from services.ingest.validation import EVENT_TYPES, Arrival

_Text = str | None | UnsetType
_Flag = bool | UnsetType
_Null = None | UnsetType
_Object = Raw | UnsetType


class _Sent(msgspec.Struct, rename="camel"):
    """An event as SDKs send it, and then as it goes on: the fields of `contracts.event.Event` in its order, and
    two that end here. A value of another type than these is not usual."""

    type: _Text = UNSET
    message_id: _Text = UNSET
    source: _Text = UNSET
    timestamp: _Text = UNSET
    received_at: _Text = UNSET
    original_timestamp: _Text = UNSET
    sent_at: _Text = UNSET
    user_id: _Text = UNSET
    anonymous_id: _Text = UNSET
    previous_id: _Null = UNSET
    group_id: _Null = UNSET
    event: _Text = UNSET
    name: _Text = UNSET
    category: _Text = UNSET
    properties: _Object = UNSET
    traits: _Object = UNSET
    context: _Object = UNSET
    integrations: _Object = UNSET
    metadata: _Object = msgspec.field(default=UNSET, name="_metadata")
    channel: _Text = UNSET
    version: _Text = UNSET
    trusted: _Flag = UNSET
    imported: _Flag = UNSET
    write_key: _Text = UNSET


_NULLABLE = ("previous_id", "group_id", "event", "name", "category", "channel", "version")
_FIELDS = len(_Sent.__struct_fields__)
_decode = msgspec.json.Decoder(_Sent).decode
_encode = msgspec.json.Encoder().encode
_values = msgspec.structs.astuple

_shared_instant = lru_cache(maxsize=64)(format_instant)  # one for all events of a request
_CACHED_CHARS = 64
_INSTANT_CHARS = len("2026-01-31T12:00:00.000Z")
_SHAPES = bytes.maketrans(b"0123456789.+-E[", b"0000000000000e{")
"""Leaves of a number what makes it large, and one kind of bracket."""
_OBJECTS = slice(_Sent.__struct_fields__.index("properties"), _Sent.__struct_fields__.index("metadata") + 1)
_TRUSTED = _Sent.__struct_fields__.index("trusted")
_IMPORTED = _Sent.__struct_fields__.index("imported")
_BRACE = ord("{")
_BACKSLASH = ord("\\")
_LARGE_EXPONENT = b"0e000"
_MANY = 200
_MANY_DIGITS = b"0" * _MANY  # with an exponent below 100 still within a double


class Usual(msgspec.Struct, frozen=True, gc=False):
    """What is needed of an accepted event to make its record. `value` is the encoded `contracts.event.Event`."""

    type: str
    message_id: str
    key: str
    value: bytes


class UsualReader:
    """Reads the events of one request, which `arrival` describes."""

    def __init__(self, arrival: Arrival) -> None:
        limits = arrival.limits
        self._arrival = arrival
        self._possible = not (arrival.imported or arrival.context or arrival.integrations)
        self._most_bytes = min(limits.event_bytes, limits.text_bytes)
        self._most_id_chars = min(limits.id_bytes // 4, _CACHED_CHARS)
        self._limits = limits
        self._received_at = _shared_instant(arrival.received_at)

    def read(self, raw: bytes) -> Usual | None:
        """The accepted event, or None for `validate` to decide."""
        if not self._possible or len(raw) > self._most_bytes:
            return None
        try:
            sent = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        kind = self._arrival.type or sent.type
        user_id, anonymous_id = sent.user_id, sent.anonymous_id
        key = user_id or anonymous_id
        values = _values(sent)
        nulls = values.count(None)
        if (
            not key
            or not kind
            or (user_id and not self._stands(user_id))
            or (anonymous_id and not self._stands(anonymous_id))
            or not self._is_named(kind, sent)
            or not self._is_sound(raw, values, nulls)
            or not self._set_objects(kind, sent)
            or not self._set_instants(sent)
        ):
            return None
        if nulls > (user_id is None) + (anonymous_id is None):
            _drop_nulls(sent)
        return self._finished(kind, key, sent)

    def _stands(self, value: str) -> bool:
        """An identifier that is kept as it was sent."""
        return len(value) <= self._most_id_chars and _is_plain(value)

    def _is_named(self, kind: str, sent: _Sent) -> bool:
        """It has what its type demands, spelt as it is kept."""
        message_id, event = sent.message_id, sent.event
        if not message_id or len(message_id) > self._limits.message_id_chars or not _is_name(message_id):
            return False
        if event:
            if len(event) > self._limits.event_name_chars or event.isspace():
                return False
        elif kind == "track":
            return False
        return kind in EVENT_TYPES and kind != "alias" and kind != "group"

    def _is_sound(self, raw: bytes, values: tuple[object, ...], nulls: int) -> bool:
        """No strict reader refuses these bytes, and no two readers differ on them. `values`: the fields' own.

        Outside of the objects every quotation mark is accounted for, two for each field and two for each text: so
        there is no other field, and none twice.
        """
        objects = [bytes(value) for value in values[_OBJECTS] if value is not UNSET]  # type: ignore[call-overload]
        inner = b"".join(objects)
        fields = _FIELDS - values.count(UNSET)
        texts = fields - nulls - len(objects)
        if (
            raw.count(b'"') - inner.count(b'"') != 2 * (fields + texts)
            or values[_TRUSTED] is not UNSET
            or values[_IMPORTED] is not UNSET
            or (_BACKSLASH in raw and b"\\u0000" in raw)
            or not (raw.isascii() or _is_utf8(raw))
        ):
            return False
        for value in objects:
            if value[0] != _BRACE:
                return False
        limits = self._limits
        if len(raw) > limits.keys and inner.count(b":") + fields > limits.keys:
            return False
        shapes = inner.translate(_SHAPES)
        return (
            shapes.count(b"{") < limits.depth
            and _LARGE_EXPONENT not in shapes
            and (len(shapes) < _MANY or _MANY_DIGITS not in shapes)
        )

    def _set_objects(self, kind: str, sent: _Sent) -> bool:
        if sent.properties is UNSET:
            sent.properties = EMPTY
        if sent.integrations is UNSET:
            sent.integrations = EMPTY
        traits = EMPTY if sent.traits is UNSET else sent.traits
        context = EMPTY if sent.context is UNSET else sent.context
        inside = bytes(context)
        if b":" not in inside:
            context = EMPTY
        elif (
            _BACKSLASH in inside
            or b'"externalIds"' in inside
            or (kind == "identify" and b'"traits"' in inside and b":" not in bytes(traits))
        ):
            return False
        if self._arrival.ip is not None:
            if b'"ip"' in inside:
                return False
            context = Raw(_encode({**read_object(context), "ip": self._arrival.ip}))
        sent.traits, sent.context = traits, context
        return True

    def _set_instants(self, sent: _Sent) -> bool:
        arrival = self._arrival
        if arrival.envelope_sent_at is None and not sent.sent_at and arrival.header_sent_at is None:
            text = sent.original_timestamp or sent.timestamp
            if text and (original := _millis(text)) is not None and original <= arrival.received_at:
                sent.timestamp = sent.original_timestamp = text
                sent.sent_at = UNSET
                return True
        return self._correct_instants(sent)

    def _correct_instants(self, sent: _Sent) -> bool:
        arrival = self._arrival
        sent_at, original = arrival.envelope_sent_at, None
        try:
            if sent.original_timestamp:
                original = parse_time(sent.original_timestamp)
            if original is None and sent.timestamp:
                original = parse_time(sent.timestamp)
        except ValueError:
            return False
        if sent_at is None:
            sent_at = parse_sent_at(sent.sent_at) if sent.sent_at else None
            if sent_at is None:
                sent_at = arrival.header_sent_at
        if original is None:
            sent.timestamp, sent.original_timestamp = self._received_at, UNSET
        else:
            sent.original_timestamp = text = format_instant(original)
            corrected = correct(original, sent_at, arrival.received_at)
            sent.timestamp = text if corrected == original else format_instant(corrected)
        sent.sent_at = UNSET if sent_at is None else _shared_instant(sent_at)
        return True

    def _finished(self, kind: str, key: str, sent: _Sent) -> Usual:
        arrival = self._arrival
        sent.type = kind
        sent.source = arrival.source.name
        sent.received_at = self._received_at
        sent.trusted = True if arrival.source.trusted else UNSET
        sent.write_key = UNSET
        sent.metadata = UNSET
        if not sent.user_id:
            sent.user_id = UNSET
        elif not sent.anonymous_id:
            sent.anonymous_id = UNSET
        return Usual(kind, str(sent.message_id), key, _encode(sent))


def _millis(text: str) -> int | None:
    """The instant of a text that `format_instant` would write just so; None for every other text."""
    if len(text) != _INSTANT_CHARS or text[19] != "." or text[23] != "Z":
        return None
    second, millis = _second(text[:19]), text[20:23]
    return second + int(millis) if second is not None and millis.isascii() and millis.isdigit() else None


@lru_cache(maxsize=4_096)
def _second(text: str) -> int | None:
    # cached: the instants of events that come together lie close together
    try:
        millis = parse_instant(text + ".000Z")
    except ValueError:
        return None
    return millis if format_instant(millis)[:19] == text else None


@lru_cache(maxsize=16_384)
def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip() and not is_placeholder(value)


def _is_name(value: str) -> bool:
    """Printable, without blanks around it (of which only the space is printable)."""
    return value.isprintable() and value[0] != " " and value[-1] != " "


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _drop_nulls(sent: _Sent) -> None:
    for name in _NULLABLE:
        if getattr(sent, name) is None:
            setattr(sent, name, UNSET)
