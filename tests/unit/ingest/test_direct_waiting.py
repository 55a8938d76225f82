"""While a directly served request waits for the log, and when the log fails it, it is as by ASGI."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from headrace.log.port import LogError, LogFull, LogUnavailable, RecordTooLarge
from headrace.runtime import failpoints
from headrace.runtime.direct import DirectHttpProtocol
from headrace.runtime.settings import Environment
from tests.unit.ingest.service import WEB_KEY
from tests.unit.ingest.wire import EVENT, WAYS, WEB, Side, request, turn

ONE = request(json.dumps(EVENT).encode())
FROM_PAGE = request(json.dumps(EVENT).encode(), (b"Authorization: " + WEB, b"Origin: https://shop.example.com"))
EXPECTING = request(json.dumps(EVENT).encode(), (b"Authorization: " + WEB, b"Expect: 100-continue"))


async def refuse_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("this request goes directly")


@pytest.mark.parametrize(
    "sent",
    [
        *(ONE, FROM_PAGE, request(json.dumps(EVENT | {"writeKey": WEB_KEY}).encode(), ())),
        request(json.dumps(EVENT).encode(), (b"X-Write-Key: " + WEB_KEY.encode(), b"Connection: keep-alive")),
        request(json.dumps(EVENT | {"type": "page"}).encode(), line=b"POST /v1/page HTTP/1.1"),
    ],
)
async def test_usual_requests_never_come_to_asgi(sent: bytes) -> None:
    side = await Side.start(DirectHttpProtocol)
    connection, wire = side.connect()
    connection.app = refuse_asgi
    for _ in range(3):
        connection.data_received(sent)
        await turn()
    assert wire.got.count(b"HTTP/1.1 200 OK") == len(side.landed()) == 3


def cancel(side: Side) -> None:
    """As a server does that will not wait any longer."""
    for task in side.state.tasks:
        task.cancel()


async def under_way(side: Side, *happening: Callable[[Any, Side], None]) -> tuple[Any, ...]:
    """What is seen when these things happen while a request waits for the log, which then goes on."""
    side.log.gate.clear()
    connection, wire = side.connect()
    connection.data_received(ONE)
    await turn()
    held = side.app.held_bytes
    for happens in happening:
        happens(connection, side)
        await turn()
    side.log.gate.set()
    await turn()
    if connection.parser is not None:  # as it is while the client is there
        connection.data_received(ONE)
        await turn()
    assert side.app.held_bytes == 0
    assert not side.state.tasks
    return held, wire.got, wire.closed, wire.ended, side.landed(), side.counted(), side.state.total_requests


@pytest.mark.parametrize(
    "happening",
    [
        (),
        (lambda connection, _: connection.data_received(ONE),),
        (lambda connection, _: connection.data_received(ONE), lambda connection, _: connection.shutdown()),
        (
            lambda connection, _: connection.data_received(ONE[:50]),
            lambda connection, _: connection.data_received(ONE[50:]),
        ),
        (lambda connection, _: connection.data_received(b"what?\r\n\r\n"),),
        (lambda connection, _: connection.data_received(ONE + b"what?\r\n\r\n"),),
        (lambda connection, _: connection.data_received(EXPECTING + b"what?\r\n\r\n"),),
        (lambda connection, _: connection.shutdown(),),
        (lambda connection, _: connection.connection_lost(None),),
        (lambda connection, _: connection.connection_lost(ConnectionResetError()),),
        (lambda connection, _: connection.shutdown(), lambda _, side: cancel(side)),
    ],
    ids=[
        *("nothing", "the next", "the next, then a stop", "the next in pieces", "nonsense"),
        *("the next, then nonsense", "one that expects, then nonsense"),
        *("a stop", "gone", "reset", "a stop, ended"),
    ],
)
async def test_what_happens_while_the_log_is_awaited(happening: Sequence[Callable[[Any, Side], None]]) -> None:
    ordinary, direct = [await Side.start(way) for way in WAYS]
    assert await under_way(direct, *happening) == await under_way(ordinary, *happening)


@pytest.mark.parametrize("sent", [ONE, FROM_PAGE])
@pytest.mark.parametrize(
    "error", [LogError("no"), LogFull("no"), LogUnavailable("no"), RecordTooLarge("no"), OSError("no")]
)
async def test_what_the_log_refuses(error: Any, sent: bytes) -> None:
    ordinary, direct = [await Side.start(way) for way in WAYS]
    ordinary.log.fail = direct.log.fail = error
    seen = await direct.talk([(sent, True)])
    assert seen == await ordinary.talk([(sent, True)])
    assert b"HTTP/1.1 200" not in seen[0]
    ordinary.log.fail = direct.log.fail = None
    assert await direct.talk([(sent, True)]) == await ordinary.talk([(sent, True)])


async def test_a_log_that_does_not_answer_in_time() -> None:
    async def refused(side: Side) -> tuple[Any, ...]:
        side.log.gate.clear()
        connection, wire = side.connect()
        connection.data_received(FROM_PAGE)
        async with asyncio.timeout(10):
            await side.is_answered(wire)
        side.log.gate.set()
        await turn()
        return wire.got, side.landed(), side.counted(), side.app.held_bytes

    ordinary, direct = [await Side.start(way) for way in WAYS]
    seen = await refused(direct)
    assert seen == await refused(ordinary)
    assert b"HTTP/1.1 503" in seen[0]
    assert b"retry-after: 1" in seen[0]


async def test_what_is_more_than_may_be_held() -> None:
    ordinary, direct = [await Side.start(way, capacity=100) for way in WAYS]
    seen = await under_way(direct, lambda connection, side: side.connect()[0].data_received(ONE))
    assert seen == await under_way(ordinary, lambda connection, side: side.connect()[0].data_received(ONE))
    assert seen[0] == 86


async def test_a_failure_before_the_answer(tmp_path: Path) -> None:
    failpoints.configure("ingest", Environment({"HEADRACE_FAILPOINTS": str(tmp_path)}))
    try:
        seen = []
        for way in WAYS:
            side = await Side.start(way)
            failpoints.arm(tmp_path, "ingest", "before_answer", "error")
            seen.append(await side.talk([(ONE, True), (ONE, True)]))
            failpoints.disarm(tmp_path, "ingest", "before_answer")
    finally:
        failpoints.configure("ingest", Environment({}))
    assert seen[0] == seen[1]
    assert b"HTTP/1.1 500" in seen[0][0]
    assert b"HTTP/1.1 200" in seen[0][0]
