"""The short way of accepting an event never differs from the full validation, and is taken where it should be."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.ingest.auth import Source
from services.ingest.limits import Limits
from services.ingest.records import encode_event
from services.ingest.rejection import Rejected
from services.ingest.usual import Usual, UsualReader
from services.ingest.validation import Arrival, validate

RECEIVED = 1_790_000_000_123
NOT_SENT = "a new id"
TRACK = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "5f2b8b2e-6f0e-4f6b-9d3e-000000000005",
    "userId": "user-5",
    "anonymousId": None,
    "timestamp": "2026-01-31T12:00:00.000Z",
    "properties": {"order_id": "o-5", "total": 129.9, "products": [{"price": 12.5}, {"price": 1e3}]},
    "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
    "integrations": {},
}
SMALL = Limits(
    event_bytes=300, text_bytes=280, depth=5, keys=14, id_bytes=40, message_id_chars=20, event_name_chars=12
)


def arrival(**more: Any) -> Arrival:
    fields: dict[str, Any] = {
        "source": Source("shop", trusted=True),
        "received_at": RECEIVED,
        "new_message_id": lambda: NOT_SENT,
    }
    return Arrival(**fields | more)


def full(raw: bytes, request: Arrival) -> Usual | None:
    """What the full validation makes of it; None when it refuses."""
    try:
        accepted = validate(raw, request)
    except Rejected:
        return None
    event = accepted.event
    assert accepted.placeholders == 0 or short(raw, request) is None
    return Usual(event.type, event.message_id, accepted.key, encode_event(event))


def short(raw: bytes, request: Arrival) -> Usual | None:
    return UsualReader(request).read(raw)


texts = st.sampled_from(
    [
        *(
            "",
            " ",
            "u1",
            " u1",
            "u1 ",
            "user:1",
            "null",
            "0",
            "-1",
            "anonymous",
            "Žluť",
            "e\u0301",
            "\u200b",
            "a\u00a0b",
        ),
        *(
            "a" * 30,
            "a" * 70,
            "\u0000",
            "a\u0000b",
            '"',
            "\\",
            "x\ty",
            "track",
            "page",
            "alias",
            "Order Completed",
        ),
        *(
            "2026-01-31T12:00:00.000Z",
            "2026-01-31",
            "1790000000",
            "2026-W05-6T12:00:00.000Z",
            "2019-13-01",
            "tomorrow",
        ),
        *("9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000+23:59", "2026-01-31T23:59:60.000Z", "5e999", "1,2"),
    ]
)
numbers = st.sampled_from([0, 1, -5, 12.5, 1e300, 10**30, 10**250, 1_790_000_000_000])
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4),
        st.dictionaries(
            st.sampled_from(["a", "ip", "traits", "externalIds", "id", "type", "userId", '"']), inside
        ),
    ),
    max_leaves=8,
)
objects = st.one_of(
    st.dictionaries(st.sampled_from(["a", "ip", "traits", "externalIds", "userId", "Ž"]), anything, max_size=3),
    st.just({}),
    st.just({"ip": ""}),
    st.just({"traits": {"email": "a@b.cz"}}),
    st.just({"externalIds": [{"type": "card", "id": "7"}]}),
    anything,
)
kinds = st.sampled_from(["track", "identify", "page", "screen", "group", "alias", "Track", None, 1])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": kinds,
    "messageId": st.one_of(texts, numbers, st.none()),
    **dict.fromkeys(
        ("userId", "anonymousId", "previousId", "groupId"), st.one_of(texts, numbers, st.none(), anything)
    ),
    **dict.fromkeys(("event", "name", "category", "channel", "version"), st.one_of(texts, numbers, st.none())),
    **dict.fromkeys(("timestamp", "originalTimestamp", "sentAt"), st.one_of(texts, numbers, st.none())),
    **dict.fromkeys(("properties", "traits", "context", "integrations", "_metadata"), objects),
    **dict.fromkeys(("source", "receivedAt", "writeKey", "trusted", "imported", "unknown"), anything),
}
changes = st.sets(st.sampled_from(sorted(FIELDS)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
removals = st.sets(st.sampled_from(sorted(TRACK)), max_size=2)
fragments = st.sampled_from(
    [
        *(b"1e999", b"-1E+400", b"1e99", b"0.1e-999", b"9" * 250 + b"e99", b"1" * 5_000, b"01", b"-", b"NaN"),
        *(
            b'"\\ud800"',
            b'"\\u0000"',
            b'"\\\\u0000"',
            b'"\xff"',
            b'"\x01"',
            b'"\\x"',
            b"\xc5\xbd",
            b"[" * 30,
            b"]" * 30,
        ),
        *(
            b',"userId":"u2"',
            b',"userId":null',
            b',"user\\u0049d":"u2"',
            b',"context":{}',
            b',"a":1e999',
            b',"trusted":true',
        ),
        *(b" ", b"\n", b"\t:", b'"', b",", b":", b"{", b"}", b"\\", b"e999", b"\xef\xbb\xbf"),
    ]
)
edits = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 3), fragments), max_size=2)
requests = st.sampled_from(
    [
        arrival(),
        arrival(source=Source("web", trusted=False), ip="203.0.113.7"),
        arrival(type="track", ip="203.0.113.7"),
        arrival(type="page"),
        arrival(type="alias"),
        arrival(envelope_sent_at=RECEIVED - 5_000),
        arrival(header_sent_at=RECEIVED + 90_000),
        arrival(context={"ip": b'"1.2.3.4"'}, shared_bytes=20),
        arrival(imported=True),
        arrival(limits=SMALL),
    ]
)


def written(document: dict[str, Any], style: int) -> bytes:
    """The same event as different SDKs spell it."""
    if style == 0:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    if style == 1:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps(document, indent=1, separators=(" , ", " : ")).encode()


@given(changes, removals, st.integers(0, 2), edits, requests)
@example({}, set(), 1, [(1, 0, b'"userId":"u2",')], arrival())
@example({"context": {"traits": {"a": 1}}, "type": "identify", "traits": {}}, set(), 1, [], arrival())
@example({"event": "  ", "type": "page"}, set(), 0, [], arrival())
@example({"context": {"ip": None}}, set(), 0, [], arrival(ip="203.0.113.7"))
@example({"trusted": True}, set(), 1, [(1, 0, b'"userId":null,')], arrival())
@example({"properties": {"ok": [[[[[[1]]]]]]}}, set(), 1, [], arrival(limits=SMALL))
@example({"properties": {str(number): 1 for number in range(20)}}, set(), 1, [], arrival(limits=Limits(keys=14)))
def test_it_gives_what_the_full_validation_gives_or_nothing(
    changed: dict[str, Any],
    removed: set[str],
    style: int,
    edited: list[tuple[int, int, bytes]],
    request: Arrival,
) -> None:
    raw = written({key: value for key, value in (TRACK | changed).items() if key not in removed}, style)
    for place, length, fragment in edited:
        raw = raw[:place] + fragment + raw[place + length :]
    found = short(raw, request)
    assert found is None or found == full(raw, request)


@pytest.mark.parametrize(
    "fragment",
    [
        *(b"1e999", b"-1E+400", b"[1,2.5e1000]", b"9" * 250 + b"e99", b"9" * 400 + b".5", b"1" * 5_000, b"1e99"),
        *(b'"\\ud800"', b'"\\u0000"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc5\xbd"', b"NaN", b"[1,]", b"01", b"nul"),
        *(
            b"[" * 30 + b"]" * 30,
            b"[" * 15 + b"]" * 15,
            b'{"a":' * 20 + b"1" + b"}" * 20,
            b'"' + b"a" * 9_000 + b'"',
        ),
        *(b"[" + b",".join([b'{"a":1}'] * 15) + b"]", b"{" + b",".join([b'"a":1'] * 1_001) + b"}"),
        *(b'1,"external\\u0049ds":7', b'1,"\\u0069p":null', b'1,"tr\\u0061its":{"a":1}', b'{"ip":"1.2.3.4"}'),
    ],
)
@pytest.mark.parametrize("where", ["properties", "context", "traits", "integrations", "_metadata", "unknown"])
@pytest.mark.parametrize("kind", ["track", "identify"])
def test_nothing_odd_slips_through_inside_of_an_object(kind: str, where: str, fragment: bytes) -> None:
    head = b'{"type":"%b","event":"E","messageId":"m","userId":"u","%b":{"a":' % (kind.encode(), where.encode())
    request = arrival(ip="203.0.113.7")
    found = short(head + fragment + b"}}", request)
    assert found is None or found == full(head + fragment + b"}}", request)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_event_are_left_to_the_full_validation(raw: bytes) -> None:
    assert short(raw, arrival()) is None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"anonymousId": "5f2b", "userId": None},
        {"userId": "", "anonymousId": "b", "originalTimestamp": "2026-01-31T12:00:00.000Z", "channel": "web"},
        {"type": "identify", "event": None, "traits": {"email": "a@b.cz", "name": "Žofie Nováková"}},
        {"type": "page", "event": None, "name": "Home", "category": "Shop", "sentAt": "2026-01-31T12:00:01.000Z"},
        {"writeKey": "key", "_metadata": {"bundled": ["Segment.io"]}, "properties": {"title": 'a "quoted" one'}},
    ],
)
@pytest.mark.parametrize("style", [0, 1])
@pytest.mark.parametrize("ip", [None, "203.0.113.7"])
def test_what_sdks_send_goes_the_short_way(changed: dict[str, Any], style: int, ip: str | None) -> None:
    raw, request = written(TRACK | changed, style), arrival(ip=ip)
    found = short(raw, request)
    assert found is not None
    assert found == full(raw, request)
