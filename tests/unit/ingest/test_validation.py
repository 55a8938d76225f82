"""From an event's bytes to a validated event: what is passed on untouched, what is filled in, what is refused."""

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.instant import parse_instant
from services.ingest.auth import Source
from services.ingest.envelope import decode_event, read_batch
from services.ingest.limits import Limits
from services.ingest.message_id import new_message_id
from services.ingest.raw_event import strip_nul
from services.ingest.rejection import Rejected
from services.ingest.validation import Accepted, Arrival, validate

RECEIVED = parse_instant("2026-01-31T12:00:00Z")
WEB = Source("web", trusted=False)


def arrival(**changes: Any) -> Arrival:
    defaults: dict[str, Any] = {"source": WEB, "received_at": RECEIVED, "new_message_id": lambda: "fresh"}
    return Arrival(**{**defaults, **changes})


def accept(fields: dict[str, Any] | bytes, **changes: Any) -> Accepted:
    raw = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return validate(raw, arrival(**changes))


TRACK = {"type": "track", "event": "E", "userId": "u1"}


def test_objects_are_passed_on_byte_for_byte() -> None:
    objects = {
        "properties": b'{ "n":18446744073709551617, "price" : 1.10, "z":1,"a":-0, "t":"\\u017e\\/" }',
        "context": b'{"page" :{"url":"https://x/"}}',
        "integrations": b'{"All":true, "X":{"a":1.0}}',
        "traits": b'{"e": 1e2}',
    }
    body = b",".join(b'"%b": %b' % (name.encode(), value) for name, value in objects.items())
    event = accept(b'{"type":"track","event":"E","userId":"u1", ' + body + b"}").event
    for name, value in objects.items():
        assert bytes(getattr(event, name)) == value


def test_common_fields() -> None:
    accepted = accept(
        {
            **TRACK,
            "messageId": " m1 ",
            "anonymousId": "a1",
            "previousId": "p1",
            "groupId": 7,
            "name": "n",
            "category": "c",
            "channel": "server",
            "version": 2,
            "timestamp": "2026-01-31T11:50:00+00:00",
            "sentAt": "2026-01-31T11:55:00.123456Z",
        },
        source=Source("till", trusted=True),
    )
    event = accepted.event
    assert (event.type, event.event, event.name, event.category) == ("track", "E", "n", "c")
    assert (event.user_id, event.anonymous_id, event.previous_id, event.group_id) == ("u1", "a1", "p1", "7")
    assert (event.message_id, event.channel, event.version) == ("m1", "server", "2")
    assert (event.source, event.trusted, event.imported) == ("till", True, False)
    assert event.received_at == "2026-01-31T12:00:00.000Z"
    assert event.original_timestamp == "2026-01-31T11:50:00.000Z"
    assert event.sent_at == "2026-01-31T11:55:00.123Z"
    assert event.timestamp == "2026-01-31T11:54:59.877Z"
    assert accepted.key == "u1"


def test_original_timestamp_comes_first() -> None:
    event = accept(
        {**TRACK, "originalTimestamp": "2026-01-31T11:00:00Z", "timestamp": "2026-01-31T10:00:00Z"}
    ).event
    assert event.timestamp == event.original_timestamp == "2026-01-31T11:00:00.000Z"


@pytest.mark.parametrize(
    ("envelope", "own", "header", "corrected"),
    [
        ("11:59", "11:58", "11:57", "11:51"),
        (None, "11:58", "11:57", "11:52"),
        (None, None, "11:57", "11:53"),
        (None, None, None, "11:50"),
    ],
)
def test_which_sent_at_counts(envelope: str | None, own: str | None, header: str | None, corrected: str) -> None:
    def at(clock: str | None) -> str | None:
        return None if clock is None else f"2026-01-31T{clock}:00Z"

    fields = {**TRACK, "timestamp": at("11:50"), "sentAt": at(own)}
    event = accept(
        fields,
        envelope_sent_at=parse_instant(f"2026-01-31T{envelope}:00Z") if envelope else None,
        header_sent_at=parse_instant(f"2026-01-31T{header}:00Z") if header else None,
    ).event
    assert event.timestamp == f"2026-01-31T{corrected}:00.000Z"


def test_history_keeps_its_instants_and_gets_the_same_id_again() -> None:
    fields = {**TRACK, "timestamp": "2010-12-01T08:26:00", "sentAt": "2026-01-31T11:00:00Z"}
    first, second = (accept(fields, imported=True).event for _ in range(2))
    assert first.timestamp == "2010-12-01T08:26:00.000Z"
    assert first.imported
    assert first.message_id == second.message_id
    assert first.message_id != accept({**fields, "event": "F"}, imported=True).event.message_id


def test_explicit_nulls_count_as_absent() -> None:
    nulls = dict.fromkeys(
        (
            "anonymousId",
            "properties",
            "traits",
            "context",
            "integrations",
            "timestamp",
            "sentAt",
            "messageId",
            "name",
        )
    )
    event = accept({**TRACK, **nulls}).event
    assert bytes(event.properties) == bytes(event.context) == b"{}"
    assert (event.message_id, event.timestamp) == ("fresh", "2026-01-31T12:00:00.000Z")


@pytest.mark.parametrize(
    ("ids", "key", "placeholders"),
    [
        ({"userId": "u", "anonymousId": "a"}, "u", 0),
        ({"anonymousId": "a"}, "a", 0),
        ({"userId": "", "anonymousId": "a"}, "a", 0),
        ({"userId": "undefined", "anonymousId": "a"}, "a", 1),
        ({"context": {"externalIds": [{"id": "C-1", "type": "loyalty_card"}]}}, "C-1", 0),
        ({"context": {"externalIds": [{"id": 77, "type": "loyalty_card"}]}}, "77", 0),
        ({"context": {"externalIds": [{"id": "null", "type": "x"}, {"id": "C-2", "type": "y"}]}}, "C-2", 1),
        ({"userId": "Ame\u0301lie"}, "Am\u00e9lie", 0),
        ({"userId": "\u00a0u\u00a0v\u00a0"}, "u\u00a0v", 0),
    ],
)
def test_the_key_is_the_first_usable_id(ids: dict[str, Any], key: str, placeholders: int) -> None:
    """Number 51 of the bad inputs: ids are compared as NFC."""
    accepted = accept({"type": "track", "event": "E", **ids})
    assert (accepted.key, accepted.placeholders) == (key, placeholders)


def test_context_of_the_envelope_goes_under_the_events_own() -> None:
    body = b'{"batch":[{"context":{"a": 1.0}}],"context":{"a":2,"b": 3.00},"integrations":{"All":false}}'
    envelope = read_batch(body, 10)
    changes = {"context": envelope.context, "integrations": envelope.integrations}
    event = accept({**TRACK, "context": {"a": 1}}, **changes).event
    assert bytes(event.context) == b'{"a":1,"b":3.00}'
    assert bytes(event.integrations) == b'{"All":false}'
    assert bytes(accept(TRACK, **changes).event.context) == b'{"a":2,"b":3.00}'


def test_what_the_envelope_adds_counts_against_the_size_of_each_event() -> None:
    raw = json.dumps(TRACK).encode()
    limits = Limits(event_bytes=len(raw) + 10)
    assert validate(raw, arrival(limits=limits, shared_bytes=10)).key == "u1"
    with pytest.raises(Rejected, match="event_too_large"):
        validate(raw, arrival(limits=limits, shared_bytes=11))


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, {"ip": "203.0.113.7"}),
        ({"ip": None, "locale": "cs"}, {"ip": "203.0.113.7", "locale": "cs"}),
        ({"ip": "192.0.2.1"}, {"ip": "192.0.2.1"}),
    ],
)
def test_the_clients_address_is_filled_in(context: dict[str, Any], expected: dict[str, Any]) -> None:
    event = accept({**TRACK, "context": context}, ip="203.0.113.7").event
    assert json.loads(bytes(event.context)) == expected


def test_identify_takes_its_traits_from_the_context() -> None:
    """rudder's Python SDK sends them only there."""
    fields = {"userId": "u1", "context": {"traits": {"n": 18446744073709551617}}}
    lifted = accept(json.dumps(fields).replace(" ", "").encode(), type="identify").event
    assert bytes(lifted.traits) == b'{"n":18446744073709551617}'
    both = accept({**fields, "traits": {"a": 1}}, type="identify").event
    assert json.loads(bytes(both.traits)) == {"a": 1}
    assert bytes(accept({**fields, "event": "E"}, type="track").event.traits) == b"{}"


def test_nul_is_stripped_and_an_escaped_backslash_stays() -> None:
    event = accept(
        rb'{"type":"track","event":"A\u0000B","userId":"u","properties":{"a\u0000":"\\u0000\u0000"}}'
    ).event
    assert event.event == "AB"
    assert bytes(event.properties) == rb'{"a":"\\u0000"}'


def test_message_ids_sort_by_time() -> None:
    early, late = (new_message_id(millis, lambda size: b"\xff" * size) for millis in (RECEIVED, RECEIVED + 1))
    assert early < late
    assert uuid.UUID(early).version == 7
    assert uuid.UUID(early).variant == uuid.RFC_4122


def test_a_rejection_names_the_message() -> None:
    with pytest.raises(Rejected) as caught:
        accept({"type": "track", "event": "E", "messageId": "m1"})
    assert (caught.value.code, caught.value.message_id) == ("no_identifier", "m1")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        (
            {"type": "identify", "traits": {"email": "Ann@example.com", "phone": "+420 601 123 456"}},
            "Ann@example.com",
        ),
        ({"type": "identify", "traits": {"email": "none", "phone": "+420 601 123 456"}}, "+420 601 123 456"),
        ({"type": "track", "event": "E", "context": {"traits": {"email": "a@b.cz"}}}, "a@b.cz"),
        ({"type": "identify", "userId": "u1", "traits": {"email": "a@b.cz"}}, "u1"),
    ],
)
def test_an_email_or_phone_of_the_traits_names_somebody(fields: dict[str, Any], key: str) -> None:
    assert accept(fields).key == key


@pytest.mark.parametrize("traits", [{"email": "none"}, {"email": 5, "phone": 601123456}, {"phone": "n/a"}, {}])
def test_traits_that_name_nobody_do_not(traits: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        accept({"type": "identify", "traits": traits})
    assert caught.value.code == "no_identifier"


def test_a_groups_email_names_no_customer() -> None:
    with pytest.raises(Rejected) as caught:
        accept({"type": "group", "groupId": "g", "traits": {"email": "office@example.com"}})
    assert caught.value.code == "no_identifier"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=8).filter(lambda name: "\0" not in name), json_values, max_size=5)
FIELDS = [
    *("type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", "category"),
    *("properties", "traits", "context", "integrations", "timestamp", "originalTimestamp", "sentAt"),
    *("channel", "version"),
]


def outcome(raw: bytes, **changes: Any) -> Accepted | Rejected:
    """What validation makes of `raw`; any other exception fails the test."""
    try:
        return validate(raw, arrival(**changes))
    except Rejected as rejected:
        return rejected


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values), st.booleans())
def test_any_json_object_is_accepted_or_rejected(fields: dict[str, Any], imported: bool) -> None:
    """Nothing but the defined rejection comes out, and what is accepted is a whole event."""
    raw = msgspec.json.encode({"type": "track", "event": "E", **fields})
    result = outcome(raw, imported=imported)
    if isinstance(result, Rejected):
        assert result.code
        assert result.detail
    else:
        assert result.key
        assert decode_event(msgspec.json.encode(result.event))["messageId"] == result.event.message_id


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_accepted_or_rejected(raw: bytes) -> None:
    with pytest.raises(Rejected):
        validate(raw, arrival())


@settings(deadline=None)
@given(objects, objects, st.text(min_size=1, max_size=100), st.booleans())
def test_accepted_objects_keep_their_bytes(
    properties: dict[str, Any], context: dict[str, Any], name: str, spaced: bool
) -> None:
    context = {key: value for key, value in context.items() if key not in {"externalIds"}}
    separators = (", ", ": ") if spaced else (",", ":")
    texts = [json.dumps(part, separators=separators).encode() for part in (properties, context)]
    head = json.dumps({**TRACK, "event": f"E{name}"}).encode()[:-1]
    raw = b'%b, "properties": %b, "context": %b}' % (head, *texts)
    result = outcome(raw)
    if isinstance(result, Rejected):
        assert result.code in {"invalid_traits", "too_deep"}
        return
    event = result.event
    assert [bytes(event.properties), bytes(event.context)] == [strip_nul(text) for text in texts]
    assert event.event == f"E{name}".replace("\0", "")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_ids_are_clean_or_refused(text: str) -> None:
    result = outcome(json.dumps({**TRACK, "userId": text, "anonymousId": "a1"}).encode())
    if isinstance(result, Rejected):
        assert result.code == "invalid_id"
        assert not text.isprintable()
        return
    user_id = result.event.user_id
    assert user_id is None or (user_id == user_id.strip() and "\0" not in user_id and len(user_id.encode()) <= 256)
