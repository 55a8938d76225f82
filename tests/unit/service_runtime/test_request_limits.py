"""What a client may do to any service: bodies, heads, slowness, connections. A real server on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack

import pytest
import uvicorn
from fastapi import FastAPI, Request

from headrace.runtime.access.guard import Access
from headrace.runtime.body_limit import MAX_BODY_BYTES
from headrace.runtime.http import create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.protocol import MAX_HEAD_BYTES, GuardedHttpProtocol

CONNECTIONS = 60
PIECE = 64 * 1024


class Impatient(GuardedHttpProtocol):
    """With short deadlines and few connections."""

    head_seconds = 0.5
    body_seconds = 0.5
    body_piece = PIECE
    max_connections = CONNECTIONS


def service() -> FastAPI:
    access = Access.by_root("test", {}, "admin")
    app = create_app("test", metrics=Metrics("test"), checks={}, access=access, streamed=("/upload",))

    @app.post("/parsed")
    async def parsed(wanted: dict[str, object]) -> dict[str, int]:
        return {"keys": len(wanted)}

    @app.post("/raw")
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    return app


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, pieces: Iterable[bytes]) -> bytes:
        """Send the pieces and return all that comes until the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(service(), http=Impatient, log_config=None, access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield Client(listener.getsockname()[1])
    server.should_exit = True
    await serving


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        "Connection: close",
        *headers,
    ]
    if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(path: str, pieces: Iterable[bytes]) -> Iterable[bytes]:
    yield post(path, b"", "Transfer-Encoding: chunked")
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def result(answer: bytes) -> tuple[int, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    found = json.loads(body)
    return int(head.split(b" ", 2)[1]), found.get("code", found)


@pytest.mark.parametrize("path", ["/parsed", "/raw"])
async def test_a_body_at_the_limit_and_beyond(client: Client, path: str) -> None:
    fits = b'{"a":1}'.ljust(MAX_BODY_BYTES)
    assert result(await client.exchange([post(path, fits)]))[0] == 200
    assert result(await client.exchange([post(path, fits + b" ")])) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/parsed", "/raw"])
async def test_a_body_of_unknown_length_is_cut_off(client: Client, path: str) -> None:
    answer = await client.exchange(chunked(path, [b" " * 65_536] * 40))
    assert result(answer) == (413, "body_too_large")


async def test_what_is_announced_is_refused_unread(client: Client) -> None:
    answer = await client.exchange([post("/raw", b"", "Content-Length: 999999999999")])
    assert result(answer) == (413, "body_too_large")


async def test_a_route_that_streams_has_its_own_bound(client: Client) -> None:
    size = 2 * MAX_BODY_BYTES
    assert result(await client.exchange([post("/upload", b"x" * size)])) == (200, {"bytes": size})


async def test_a_compressed_body_is_not_decompressed(client: Client) -> None:
    answer = await client.exchange([post("/raw", b"\x1f\x8b" + b"x" * 98, "Content-Encoding: gzip")])
    assert result(answer) == (200, {"bytes": 100})


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_deep_json_is_refused_and_does_no_harm(client: Client, opening: bytes) -> None:
    assert result(await client.exchange([post("/parsed", b'{"x":' + opening * 200_000)]))[0] == 400
    assert result(await client.exchange([post("/parsed", b"{}")])) == (200, {"keys": 0})


@pytest.mark.parametrize(
    "headers", [("X-Large: " + "x" * MAX_HEAD_BYTES,), tuple(f"X-{n}: y" for n in range(20_000))]
)
async def test_large_heads(client: Client, headers: tuple[str, ...]) -> None:
    assert result(await client.exchange([post("/raw", b"", *headers)])) == (431, "headers_too_large")


async def test_slow_lorises_are_closed_and_others_are_served(client: Client) -> None:
    """Each sends a little of a head, or of a body, and then nothing; meanwhile requests are answered."""
    starts = [b"POST /raw HTTP/1.1\r\nX-A: b", post("/raw", b"", "Content-Length: 100") + b"abc", b""]
    async with AsyncExitStack() as stack:
        slow = []
        for number in range(CONNECTIONS - 10):
            reader, writer = await client.connect()
            stack.callback(writer.close)
            writer.write(starts[number % len(starts)])
            slow.append(reader)
        for _ in range(20):
            assert result(await client.exchange([post("/parsed", b"{}")]))[0] == 200
        async with asyncio.timeout(10):
            ends = [await reader.read() for reader in slow]
    assert [end[:12] for end in ends] == [
        b"" if number % len(starts) == 2 else b"HTTP/1.1 408" for number in range(len(slow))
    ]


async def test_trickling_does_not_extend_the_deadline(client: Client) -> None:
    reader, writer = await client.connect()
    writer.write(b"POST /raw HTTP/1.1\r\n")

    async def trickle() -> None:
        while True:
            writer.write(b"X-A: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(trickle())
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
    dripping.cancel()
    writer.close()


async def test_a_long_body_has_time_for_each_piece(client: Client) -> None:
    """Longer than the deadline in all, and never slower than it allows."""
    reader, writer = await client.connect()
    writer.write(post("/upload", b"", f"Content-Length: {8 * PIECE}"))
    for _ in range(8):
        writer.write(b"x" * PIECE)
        await writer.drain()
        await asyncio.sleep(0.15)
    assert result(await reader.read()) == (200, {"bytes": 8 * PIECE})
    writer.close()


async def test_more_connections_than_allowed_are_refused_and_leave_the_others_alone(client: Client) -> None:
    async with AsyncExitStack() as stack:
        kept = []
        for _ in range(CONNECTIONS):
            reader, writer = await client.connect()
            stack.callback(writer.close)
            kept.append((reader, writer))
        await asyncio.sleep(0)
        answer = await client.exchange([])
        assert result(answer) == (503, "overloaded")
        reader, writer = kept[0]
        writer.write(post("/parsed", b"{}"))
        assert result(await reader.read())[0] == 200
    async with asyncio.timeout(10):
        while result(await client.exchange([post("/parsed", b"{}")]))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
