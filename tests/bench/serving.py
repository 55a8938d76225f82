"""ASGI apps served by processes of their own on the measured core, and the load that they get."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

import uvicorn
import uvloop
from starlette.types import ASGIApp

from tests.bench import cpu

CONNECTIONS = 32
Protocol = type[asyncio.Protocol] | Literal["httptools"]


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    port: int
    pid: int


@dataclass
class Taken:
    """What a server did in all of its turns: requests answered, seconds on the clock and of CPU."""

    requests: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    def per_cpu_second(self, events: int = 1) -> float:
        return events * self.requests / self.cpu

    def per_second(self, events: int = 1) -> float:
        return events * self.requests / self.seconds


@contextlib.contextmanager
def serving(make: Callable[[], Awaitable[ASGIApp]], protocol: Protocol) -> Iterator[Served]:
    """The app on uvicorn, set up as services are, in a process of its own while the context lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(make, protocol, theirs), daemon=True
    )
    process.start()
    try:
        assert process.pid is not None
        yield Served(ours.recv(), process.pid)
    finally:
        process.terminate()
        process.join(10)


def _serve(make: Callable[[], Awaitable[ASGIApp]], protocol: Protocol, pipe: Connection) -> None:
    async def run() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            await make(), http=protocol, lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        config.server_header = False
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)  # as ingest does at its start
        pipe.send(listener.getsockname()[1])
        await uvicorn.Server(config).serve(sockets=[listener])

    os.sched_setaffinity(0, {cpu.server_core()})
    uvloop.run(run())


def post(path: str, body: bytes, authorization: str) -> bytes:
    """A request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: cdp\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(server: Served, requests: Sequence[bytes], seconds: float, taken: Taken) -> None:
    """Keep CONNECTIONS connections busy for a while, one request at a time on each; add it to `taken`."""
    before = cpu.seconds(server.pid)
    count, took = uvloop.run(_load(server.port, requests, seconds))
    taken.requests += count
    taken.seconds += took
    taken.cpu += cpu.seconds(server.pid) - before


async def _load(port: int, requests: Sequence[bytes], seconds: float) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    clients = [_Client(requests, number * 31, started + seconds) for number in range(CONNECTIONS)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    for client in clients:
        await client.ended
    return sum(client.answered for client in clients), time.perf_counter() - started


class _Client(asyncio.Protocol):
    """Sends the next request when the one before is answered. `ended` fails on any answer but success."""

    def __init__(self, requests: Sequence[bytes], first: int, stop: float) -> None:
        self._requests = requests
        self._next = first
        self._stop = stop
        self._answer = b""
        self.answered = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b'{"success":true}'):
            return
        if not self._answer.startswith(b"HTTP/1.1 200"):
            self._transport.close()
            return
        self._answer = b""
        self.answered += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError(f"refused: {self._answer!r}"))

    def _send(self) -> None:
        if time.perf_counter() >= self._stop:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._next += 1
        self._transport.write(self._requests[self._next % len(self._requests)])
