"""A request that is served directly gets, byte for byte, the answer that it gets by ASGI, and leaves the same."""

import asyncio
import json
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.runtime.direct import MAX_DIRECT_HEAD
from tests.unit.ingest.service import WEB_KEY
from tests.unit.ingest.wire import EVENT, SERVER, WAYS, WEB, Side, request

lines = st.one_of(
    st.just(b"POST /v1/track HTTP/1.1"),
    st.sampled_from(
        [
            *(b"POST /v1/identify HTTP/1.1", b"POST /v1/t HTTP/1.1", b"POST /api/s/track HTTP/1.1"),
            *(b"POST /v1/track/ HTTP/1.1", b"POST /v1/%74rack HTTP/1.1", b"POST /v1/track?writeKey=x HTTP/1.1"),
            *(b"POST /v1/batch HTTP/1.1", b"POST /v1/m HTTP/1.1", b"POST /nothing HTTP/1.1", b"POST * HTTP/1.1"),
            *(b"GET /v1/track HTTP/1.1", b"HEAD /v1/track HTTP/1.1", b"OPTIONS /v1/track HTTP/1.1"),
            *(
                b"POST /v1/track HTTP/1.0",
                b"POST /v1/track",
                b"PUT /v1/track HTTP/1.1",
                b"post /v1/track HTTP/1.1",
            ),
            *(
                b"\r\nPOST /v1/track HTTP/1.1",
                b"POST http://cdp/v1/track HTTP/1.1",
                b"POST /v1/tr\xc5\xa1 HTTP/1.1",
            ),
            *(b"POST /v1/" + b"x" * 9_000 + b" HTTP/1.1", b"POST  /v1/track HTTP/1.1", b"POST /v1/track HTTP/2.0"),
        ]
    ),
)
keys = st.sampled_from(
    [
        *(b"Authorization: " + SERVER, b"authorization:" + WEB, b"Authorization: Basic bm9ib2R5Og=="),
        *(
            b"X-Write-Key: " + WEB_KEY.encode(),
            b"X-Write-Key: nobody",
            b"X-Nothing: x",
            b"Authorization: Bearer t",
        ),
    ]
)
more_headers = st.sampled_from(
    [
        *(
            b"Connection: close",
            b"Connection: keep-alive",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
        ),
        *(
            b"Expect: 100-continue",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: identity",
            b"Upgrade: websocket",
        ),
        *(
            b"Content-Encoding: gzip",
            b"Content-Encoding: identity",
            b"Content-Type: text/plain",
            b"Content-Length: 5",
        ),
        *(b"Origin: https://shop.example.com", b"Origin: \xff\x7f", b"Origin: a\tb", b"Origin:", b"origin: null"),
        *(b"SentAt: 2026-09-21T14:13:25.000Z", b"SentAt: soon", b"X-Forwarded-For: 192.0.2.1, 192.0.2.2"),
        *(b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00", b"traceparent: 01", b"Bad Header: x"),
        *(
            b"X-Large: " + b"x" * MAX_DIRECT_HEAD,
            b"X-Huge: " + b"x" * 17_000,
            b"X-Folded: a\r\n b",
            b"X-Bare: a\nb",
            b": x",
        ),
    ]
)
lengths = st.one_of(
    st.none(),
    st.none(),
    st.sampled_from(
        [
            *(
                b"",
                b"Content-Length: 0",
                b"Content-Length: 007",
                b"content-length: 70",
                b"Content-Length:70",
                b"Content-Length: +7",
            ),
            *(b"Content-Length: 9999999", b"Content-Length: 99999999", b"Content-Length: 7 ", b"Content-Length: "),
        ]
    ),
)
bodies = st.one_of(
    st.just(EVENT),
    st.sampled_from(
        [
            *(
                EVENT | {"writeKey": WEB_KEY},
                EVENT | {"writeKey": "nobody"},
                EVENT | {"sentAt": "2026-09-21T14:13:25.000Z"},
            ),
            *(
                EVENT | {"type": "page"},
                EVENT | {"userId": None},
                EVENT | {"event": None},
                EVENT | {"userId": "null"},
            ),
            *(EVENT | {"messageId": None}, EVENT | {"timestamp": "soon"}, EVENT | {"context": {"ip": "1.2.3.4"}}),
            *(EVENT | {"properties": {"text": "x" * 9_000}}, EVENT | {"properties": {"text": "x" * 40_000}}),
            *({"batch": [EVENT, EVENT | {"messageId": "m2"}]}, {"batch": []}, [EVENT], {}, None),
        ]
    ),
).map(lambda document: json.dumps(document).encode())
contents = st.one_of(bodies, bodies, st.binary(max_size=12))
requests = st.builds(
    request,
    contents,
    st.builds(lambda key, more: [key, *more], keys, st.lists(more_headers, max_size=2)),
    lines,
    lengths,
)
usual = st.builds(request, bodies)
streams = st.lists(st.one_of(usual, requests), min_size=1, max_size=4)
cuts = st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=3)


def cut(sent: Sequence[bytes], places: Sequence[tuple[int, bool]], joined: bool) -> list[tuple[bytes, bool]]:
    """The stream in pieces, each with whether there is a pause behind it."""
    if not places and not joined:
        return [(data, True) for data in sent]
    pieces: list[tuple[bytes, bool]] = []
    stream = b"".join(sent)
    for place, pausing in sorted(places):
        taken = place - sum(len(data) for data, _ in pieces)
        pieces.append((stream[:taken], pausing))
        stream = stream[taken:]
    return [(data, pausing) for data, pausing in (*pieces, (stream, True)) if data]


UPGRADE = request(
    json.dumps(EVENT).encode(),
    (b"Authorization: " + SERVER, b"Upgrade: websocket", b"Connection: Upgrade, HTTP2-Settings"),
)
UPGRADE_H2C = UPGRADE.replace(b"websocket", b"h2c")


@given(streams, cuts, st.booleans(), st.integers(0, 1))
@example([request(json.dumps(EVENT).encode())] * 3, [], False, 0)
@example([request(json.dumps(EVENT).encode())] * 3, [(250, False)], True, 0)
@example([request(b"{}"), request(json.dumps(EVENT).encode())], [], True, 0)
@example([UPGRADE, request(json.dumps(EVENT).encode())], [], False, 0)
@example([UPGRADE_H2C, request(json.dumps(EVENT).encode())], [], False, 0)
def test_both_ways_say_and_do_the_same(
    sent: list[bytes], places: list[tuple[int, bool]], joined: bool, hops: int
) -> None:
    async def both() -> None:
        pieces = cut(sent, places, joined)
        ordinary, direct = [await Side.start(way, hops=hops) for way in WAYS]
        assert await direct.talk(pieces) == await ordinary.talk(pieces)

    asyncio.run(both())
