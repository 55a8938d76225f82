"""From the raw bytes of one event to a validated event, or the reason why not. No I/O.

`properties`, `traits`, `context` and `integrations` are passed on byte for byte wherever the sender's bytes
can stand: nothing rounds a number or reorders a key on the way to the log.
"""

from collections.abc import Callable
from typing import Any, get_args

import msgspec

from headrace.contracts.event import Event, EventType, event_key
from headrace.contracts.ids import content_id
from headrace.contracts.instant import format_instant
from services.ingest.auth import Source
from services.ingest.clock import correct, parse_sent_at, parse_time
from services.ingest.envelope import RawObject, decode_event
from services.ingest.identity import clean_id, contains_nul, first_external_id, named_by_traits
from services.ingest.limits import DEFAULT_LIMITS, Limits, check_shape
from services.ingest.raw_event import EMPTY, Parts, demand_unique_keys, read_object, read_parts, strip_nul
from services.ingest.rejection import Rejected

EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a request before its events are looked at. Instants are milliseconds.

    type: fixed by the path, None when each event names its own. envelope_sent_at wins over the event's own
    `sentAt`, that over header_sent_at. ip: the client's address, only for client-side requests.
    """

    source: Source
    received_at: int
    new_message_id: Callable[[], str]
    type: EventType | None = None
    envelope_sent_at: int | None = None
    header_sent_at: int | None = None
    imported: bool = False
    context: RawObject = {}
    integrations: RawObject = {}
    shared_bytes: int = 0
    ip: str | None = None
    limits: Limits = DEFAULT_LIMITS


class Accepted(msgspec.Struct, frozen=True):
    """A valid event, the key that decides its partition, and how many placeholder ids were dropped from it."""

    event: Event
    key: str
    placeholders: int


_encode = msgspec.json.Encoder().encode


def validate(raw: bytes | msgspec.Raw, arrival: Arrival) -> Accepted:
    """Raises Rejected with a reason, and with the messageId if one could be read; nothing else."""
    raw = bytes(raw)
    if len(raw) + arrival.shared_bytes > arrival.limits.event_bytes:
        raise Rejected("event_too_large", f"Send at most {arrival.limits.event_bytes} bytes per event.")
    fields = decode_event(raw)
    try:
        if b"\\u0000" in raw:
            if contains_nul(fields):
                raise Rejected("invalid_id", "Remove control and invisible characters from the ids.")
            raw = strip_nul(raw)
            fields = decode_event(raw)
        check_shape(raw, fields, arrival.limits)
        parts = read_parts(raw)
        demand_unique_keys(raw, parts)
        return _accept(raw, fields, parts, arrival)
    except Rejected as rejected:
        message_id = fields.get("messageId")
        if isinstance(message_id, str):
            rejected.message_id = message_id[: arrival.limits.message_id_chars]
        raise


def _accept(raw: bytes, fields: dict[str, Any], parts: Parts, arrival: Arrival) -> Accepted:
    limits = arrival.limits
    kind = arrival.type or _type(fields.get("type"))
    for name in ("properties", "traits", "context", "integrations"):
        if fields.get(name) is not None and not isinstance(fields[name], dict):
            raise Rejected(f"invalid_{name}", f"Send {name} as a JSON object.")
    context = fields.get("context") or {}
    user_id = clean_id(fields.get("userId"), "userId", limits)
    anonymous_id = clean_id(fields.get("anonymousId"), "anonymousId", limits)
    external_id, placeholders = first_external_id(context, limits)
    placeholders += _is_dropped(fields.get("userId"), user_id) + _is_dropped(
        fields.get("anonymousId"), anonymous_id
    )
    key = event_key(user_id, anonymous_id, external_id) or named_by_traits(fields, limits)
    if not key:
        raise Rejected(
            "no_identifier",
            "Send a userId, an anonymousId, context.externalIds, or an email or phone in context.traits.",
        )
    original, sent_at = _instants(fields, arrival)
    event = Event(
        type=kind,
        message_id=_message_id(fields.get("messageId"), raw, arrival),
        source=arrival.source.name,
        timestamp=format_instant(correct(original, None if arrival.imported else sent_at, arrival.received_at)),
        received_at=format_instant(arrival.received_at),
        original_timestamp=None if original is None else format_instant(original),
        sent_at=None if sent_at is None else format_instant(sent_at),
        user_id=user_id,
        anonymous_id=anonymous_id,
        previous_id=_demanded_id(fields, "previousId", "missing_previous_id", limits, kind == "alias"),
        group_id=_demanded_id(fields, "groupId", "missing_group_id", limits, kind == "group"),
        event=_event_name(fields, limits, kind == "track"),
        name=_text(fields, "name"),
        category=_text(fields, "category"),
        properties=_object(parts.properties, fields.get("properties")),
        traits=_traits(kind, parts, fields),
        context=_context(parts.context, context, arrival),
        integrations=_under(arrival.integrations, _object(parts.integrations, fields.get("integrations"))),
        channel=_text(fields, "channel"),
        version=_version(fields.get("version")),
        trusted=arrival.source.trusted,
        imported=arrival.imported,
    )
    return Accepted(event, key, placeholders)


def _type(value: object) -> EventType:
    if isinstance(value, str) and value in EVENT_TYPES:
        return value  # type: ignore[return-value]
    raise Rejected("unknown_type", f"Send type as one of {', '.join(sorted(EVENT_TYPES))}.")


def _is_dropped(sent: object, kept: str | None) -> bool:
    """True for a placeholder; an empty text is how rudder's browser SDK says "none" and is not counted."""
    return kept is None and sent is not None and sent != ""


def _message_id(value: object, raw: bytes, arrival: Arrival) -> str:
    if value is not None and not isinstance(value, str):
        raise Rejected("invalid_message_id", "Send messageId as a text.")
    text = (value or "").strip()
    if not text:
        # History must stay safe to send again: the same line gives the same id.
        return content_id("i", arrival.source.name, raw.hex()) if arrival.imported else arrival.new_message_id()
    if len(text) > arrival.limits.message_id_chars or not text.isprintable():
        raise Rejected(
            "invalid_message_id",
            f"Send a messageId of at most {arrival.limits.message_id_chars} printable characters.",
        )
    return text


def _demanded_id(fields: dict[str, Any], name: str, code: str, limits: Limits, demanded: bool) -> str | None:
    value = clean_id(fields.get(name), name, limits)
    if demanded and value is None:
        raise Rejected(code, f"Send {name} with this type of event.")
    return value


def _event_name(fields: dict[str, Any], limits: Limits, demanded: bool) -> str | None:
    name = _text(fields, "event")
    if demanded and (name is None or not name.strip()):
        raise Rejected("missing_event", "Send the event's name in `event`.")
    if name is not None and len(name) > limits.event_name_chars:
        raise Rejected("event_name_too_long", f"Shorten `event` to {limits.event_name_chars} characters.")
    return name


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise Rejected(f"invalid_{name}", f"Send {name} as a text.")


def _version(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Rejected("invalid_version", "Send version as a text.")


def _instants(fields: dict[str, Any], arrival: Arrival) -> tuple[int | None, int | None]:
    """The event's own original timestamp and when it was sent, both on the client's clock."""
    try:
        original = parse_time(fields.get("originalTimestamp"))
        if original is None:
            original = parse_time(fields.get("timestamp"))
    except ValueError as error:
        raise Rejected("invalid_timestamp", "Send timestamp as ISO-8601, e.g. 2026-01-31T12:00:00Z.") from error
    sent_at = arrival.envelope_sent_at
    if sent_at is None:
        sent_at = parse_sent_at(fields.get("sentAt"))
    return original, arrival.header_sent_at if sent_at is None else sent_at


def _object(part: msgspec.Raw, decoded: object) -> msgspec.Raw:
    return EMPTY if decoded is None else part


def _traits(kind: str, parts: Parts, fields: dict[str, Any]) -> msgspec.Raw:
    """An identify's traits; rudder's Python SDK sends them only in `context.traits`."""
    context = fields.get("context")
    if kind != "identify" or fields.get("traits") or not context or not isinstance(context.get("traits"), dict):
        return _object(parts.traits, fields.get("traits"))
    return read_object(parts.context)["traits"]


def _under(shared: RawObject, own: msgspec.Raw) -> msgspec.Raw:
    """The envelope's entries below the event's own; key by key, not deeper."""
    if not shared:
        return own
    return msgspec.Raw(_encode({**shared, **read_object(own)}))


def _context(part: msgspec.Raw, decoded: dict[str, Any], arrival: Arrival) -> msgspec.Raw:
    own = _under(arrival.context, part if decoded else EMPTY)
    if arrival.ip is None or decoded.get("ip") or "ip" in arrival.context:
        return own
    return msgspec.Raw(_encode({**read_object(own), "ip": arrival.ip}))
