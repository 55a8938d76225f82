"""Bad input below HTTP's surface: what a raw socket may do to the service (numbers 19 to 27 of the catalogue)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvicorn

from headrace.runtime.direct import DirectHttpProtocol
from headrace.runtime.protocol import MAX_HEAD_BYTES
from tests.unit.ingest.service import SERVER_KEY, Ingest, start_ingest

EVENT = json.dumps({"userId": "u1", "event": "E", "writeKey": SERVER_KEY}).encode()
OK = b"HTTP/1.1 200"


class Impatient(DirectHttpProtocol):
    head_seconds = 0.3
    body_seconds = 0.3


@dataclass
class Served:
    ingest: Ingest
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send the pieces one after the other and return everything that comes until the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    ingest = await start_ingest()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        ingest.app,
        http=Impatient,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield Served(ingest, listener.getsockname()[1])
    server.should_exit = True
    await serving


def request(body: bytes = EVENT, *headers: bytes, target: bytes = b"/v1/track", close: bool = True) -> bytes:
    lines = [b"POST %b HTTP/1.1" % target, b"Host: cdp", *headers]
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in headers):
        lines.append(b"Content-Length: %d" % len(body))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_a_whole_request(served: Served) -> None:
    assert (await served.exchange(request())).startswith(OK)
    assert len(served.ingest.events()) == 1


async def test_a_body_that_ends_early_is_not_accepted(served: Served) -> None:
    """Number 19: the client announces more than it sends and goes."""
    _, writer = await served.connect()
    writer.write(request(EVENT, b"Content-Length: %d" % (len(EVENT) + 1)))
    await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()
    assert (await served.exchange(request())).startswith(OK)
    assert len(served.ingest.events()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 9", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 9", b"Content-Length: 10"),
        (b"Content-Length: -1",),
        (b"Content-Length: nine",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Bad Header: x",),
    ],
)
async def test_ambiguous_framing(served: Served, headers: tuple[bytes, ...]) -> None:
    """Number 20."""
    answer = await served.exchange(request(EVENT, *headers))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"success":false' in answer
    assert served.ingest.events() == []


@pytest.mark.parametrize("target", [b"POST /v1/track HTTP/1.1\r\nHost:", request(close=False)[:-1]])
async def test_a_request_that_never_ends(served: Served, target: bytes) -> None:
    """Number 21: half a head, and a body without its last byte."""
    answer = await served.exchange(target)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
    assert served.ingest.events() == []


async def test_a_silent_connection_is_closed(served: Served) -> None:
    assert await served.exchange() == b""


async def test_a_slow_second_request_on_a_connection(served: Served) -> None:
    answer = await served.exchange(request(close=False) + b"POST /v1/tr")
    assert answer.startswith(OK)
    assert b"HTTP/1.1 408" in answer


async def test_a_request_in_many_pieces(served: Served) -> None:
    raw = request()
    assert (await served.exchange(*(raw[n : n + 7] for n in range(0, len(raw), 7)))).startswith(OK)
    assert len(served.ingest.events()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        (b"X-Large: " + b"x" * MAX_HEAD_BYTES,),
        (b"X-Huge: " + b"x" * 8_000_000,),
        tuple(b"X-%d: y" % number for number in range(20_000)),
    ],
    ids=["one large", "one of 8 MB", "20,000"],
)
async def test_large_heads(served: Served, headers: tuple[bytes, ...]) -> None:
    """Number 22."""
    answer = await served.exchange(request(EVENT, *headers))
    assert answer.startswith(b"HTTP/1.1 431")
    assert served.ingest.events() == []


async def test_a_head_at_the_limit(served: Served) -> None:
    answer = await served.exchange(request(EVENT, b"X-Large: " + b"x" * (MAX_HEAD_BYTES - 200)))
    assert answer.startswith(OK)


@pytest.mark.parametrize("size", [9_000, 1_000_000])
async def test_a_long_address(served: Served, size: int) -> None:
    """Number 23."""
    answer = await served.exchange(request(target=b"/v1/track?x=" + b"y" * size))
    assert answer.startswith((b"HTTP/1.1 414", b"HTTP/1.1 431"))
    assert served.ingest.events() == []


async def test_expect_continue(served: Served) -> None:
    """Number 25."""
    head, _, body = request(EVENT, b"Expect: 100-continue").partition(b"\r\n\r\n")
    reader, writer = await served.connect()
    writer.write(head + b"\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert (await reader.read()).startswith(OK)
    writer.close()


async def test_pipelined_requests(served: Served) -> None:
    """Number 26."""
    answer = await served.exchange(request(close=False) * 9 + request())
    assert answer.count(OK) == 10
    assert len(served.ingest.events()) == 10


async def test_chunked_body(served: Served) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)
    assert (await served.exchange(request(chunked, b"Transfer-Encoding: chunked"))).startswith(OK)


async def test_a_large_body_is_refused_by_its_announcement(served: Served) -> None:
    """Number 14: it is never held; the connection stays usable once the body has passed."""
    answer = await served.exchange(request(b" " * 5_000_000, close=False), request())
    assert answer.startswith(b"HTTP/1.1 413")
    assert OK in answer


async def test_a_large_body_is_refused_before_it_is_sent(served: Served) -> None:
    answer = await served.exchange(request(b"", b"Content-Length: 5000000", b"Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413")


async def test_an_endless_chunked_body_is_refused(served: Served) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    answer = await served.exchange(request(chunk * 6 + b"0\r\n\r\n", b"Transfer-Encoding: chunked"))
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_client_that_leaves_before_the_answer(served: Served) -> None:
    """Number 27: the event may land, nothing is held for ever, and the service goes on."""
    served.ingest.log.gate.clear()
    _, writer = await served.connect()
    writer.write(request())
    async with asyncio.timeout(5):
        while not served.ingest.app.held_bytes:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.001)
    writer.close()
    await writer.wait_closed()
    served.ingest.log.gate.set()
    assert (await served.exchange(request())).startswith(OK)
    assert len(served.ingest.events()) == 2
    assert served.ingest.app.held_bytes == 0
