"""How many events a second of CPU takes in: `python -m tests.bench.bench_ingest [--log redis://…]`.

Single POSTs and batches of 100, against a bare ASGI app that reads the body and answers, on the same uvicorn in
the same run. The server is a process of its own; its CPU seconds are what counts, so that the load generator on
the same machine does not matter. Without --log the log is in memory: what ingest itself costs.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.log.connect import connect_log
from headrace.log.port import Log
from headrace.log.topics import ensure_topics
from headrace.runtime.protocol import GuardedHttpProtocol
from headrace.runtime.settings import Environment
from services.ingest.main import assemble
from services.ingest.settings import load_settings
from tests.unit.ingest.memory_log import MemoryLog
from tests.unit.ingest.service import ENVIRONMENT, PARTITIONS, SERVER_KEY, basic

CONNECTIONS = 32
BATCH = 100


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The floor: reads the body and answers 200."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"16")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"success":true}'})


class _ForgetfulLog(MemoryLog):
    """Keeps nothing, so that memory does not distort a long run."""

    async def append(self, topic: str, partition: int, records: object) -> int:
        return 0


async def _ingest(log_url: str | None) -> ASGIApp:
    log: Log = await connect_log(log_url, rollback_horizon_ms=600_000) if log_url else _ForgetfulLog()
    await ensure_topics(log, prefix="bench.", partitions=PARTITIONS)
    return assemble(log, load_settings(Environment({**ENVIRONMENT, "HEADRACE_TOPIC_PREFIX": "bench."})))


def _serve(make: Callable[[str | None], Awaitable[ASGIApp]], log_url: str | None, pipe: Connection) -> None:
    async def run() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            await make(log_url), http=GuardedHttpProtocol, lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        loop = asyncio.get_running_loop()
        pipe.send(listener.getsockname()[1])
        asked = asyncio.Event()
        loop.add_reader(pipe.fileno(), asked.set)
        while True:
            await asked.wait()
            asked.clear()
            if pipe.recv() == "stop":
                break
            pipe.send(time.process_time())
        server.should_exit = True
        await serving

    uvloop.run(run())


async def _bare(_: str | None) -> ASGIApp:
    return echo


@dataclass(frozen=True)
class Result:
    name: str
    requests: int
    seconds: float
    cpu: float
    events: int

    def line(self) -> str:
        return (
            f"{self.name:24} {self.requests / self.seconds:9,.0f} requests/s   "
            f"{self.requests / self.cpu:9,.0f} requests/CPU-s   {self.events / self.cpu:9,.0f} events/CPU-s"
        )


def event(number: int) -> dict[str, object]:
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"5f2b8b2e-6f0e-4f6b-9d3e-{number:012d}",
        "userId": f"user-{number % 5_000}",
        "anonymousId": None,
        "timestamp": "2026-01-31T12:00:00.000Z",
        "properties": {
            "order_id": f"o-{number}",
            "total": 129.9,
            "currency": "CZK",
            "products": [{"product_id": f"p{n}", "price": 12.5, "quantity": n} for n in range(4)],
        },
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        "integrations": {},
    }


async def _load(port: int, path: str, bodies: list[bytes], seconds: float) -> tuple[int, float]:
    """Keep CONNECTIONS connections busy; requests answered and the time they took."""
    stop = time.perf_counter() + seconds
    authorization = basic(SERVER_KEY)["Authorization"]
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: cdp\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
        for body in bodies
    ]

    async def connection(first: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < stop:
            writer.write(requests[(first + done) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            done += 1
        writer.close()
        return done

    started = time.perf_counter()
    counts = await asyncio.gather(*(connection(number * 31) for number in range(CONNECTIONS)))
    return sum(counts), time.perf_counter() - started


def measure(
    name: str,
    make: Callable[[str | None], Awaitable[ASGIApp]],
    log_url: str | None,
    *,
    batch: bool,
    seconds: float,
) -> Result:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(make, log_url, theirs), daemon=True)
    process.start()
    port = ours.recv()
    if batch:
        path = "/v1/batch"
        bodies = [json.dumps({"batch": [event(n * BATCH + k) for k in range(BATCH)]}).encode() for n in range(50)]
    else:
        path = "/v1/track"
        bodies = [json.dumps(event(n)).encode() for n in range(1_000)]
    uvloop.run(_load(port, path, bodies, 0.5))
    ours.send("cpu")
    before = ours.recv()
    count, took = uvloop.run(_load(port, path, bodies, seconds))
    ours.send("cpu")
    cpu = ours.recv() - before
    ours.send("stop")
    process.join(10)
    return Result(name, count, took, cpu, count * (BATCH if batch else 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", help="URL of a real log; default: one in memory")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {CONNECTIONS} connections, {len(json.dumps(event(1)))} bytes an event")
    for name, make, batch in (
        ("bare ASGI, single", _bare, False),
        ("ingest, single", _ingest, False),
        (f"bare ASGI, batch of {BATCH}", _bare, True),
        (f"ingest, batch of {BATCH}", _ingest, True),
    ):
        print(measure(name, make, arguments.log, batch=batch, seconds=arguments.seconds).line(), flush=True)


if __name__ == "__main__":
    main()
