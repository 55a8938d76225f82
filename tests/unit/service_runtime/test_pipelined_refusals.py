"""A request that is refused behind others, on one connection: nothing is written behind the refusal."""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from headrace.runtime.protocol import GuardedHttpProtocol

BODY = b"hello"
EXPECTING = b"POST /now HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n" + BODY
PLAIN = EXPECTING.replace(b"Expect: 100-continue\r\n", b"")
SLOW = PLAIN.replace(b"/now", b"/slow")
GARBAGE = b"NO HTTP AT ALL\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


class Served:
    """Answers 200 with the body it got; to /slow not before `go`. `heard` has what each request got to hear."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.heard: list[str] = []
        self.ended = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] == "/slow":
                await self.go.wait()
            message = await receive()
            self.heard.append(message["type"])
            length = (b"content-length", b"%d" % len(message.get("body", b"")))
            await send({"type": "http.response.start", "status": 200, "headers": [length]})
            await send({"type": "http.response.body", "body": message.get("body", b"")})
        finally:
            self.ended.release()


@pytest.fixture
async def served() -> Served:
    return Served()


@pytest.fixture
async def port(served: Served) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(served, http=GuardedHttpProtocol, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


@pytest.mark.parametrize(
    ("before", "runs"),
    [
        ([EXPECTING], 1),
        ([PLAIN], 1),
        ([SLOW], 1),
        ([SLOW, PLAIN], 1),
        ([SLOW, EXPECTING], 1),
        ([SLOW, EXPECTING, EXPECTING], 1),
    ],
    ids=["expecting", "plain", "slow", "one behind", "one behind that expects", "two behind that expect"],
)
async def test_nothing_is_written_behind_a_refusal(
    served: Served, port: int, before: list[bytes], runs: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever writes on a closed side gets an error, which would stand in the log as a failed request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(before) + GARBAGE)
    async with asyncio.timeout(20):
        answer = await reader.read()
        served.go.set()
        for _ in range(runs):
            await served.ended.acquire()
        writer.close()
    await asyncio.sleep(0)
    assert STATUS.findall(answer) == [b"400"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_requests_that_expect_are_answered_one_after_the_other(served: Served, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(EXPECTING + EXPECTING.replace(b"Expect", b"Connection: close\r\nExpect"))
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert [status for status in STATUS.findall(answer) if status != b"100"] == [b"200", b"200"]
    assert answer.count(BODY) == 2
    assert served.heard == ["http.request"] * 2
