"""How many events a second of CPU takes in, as single POSTs and in batches of 100.

    python -m tests.bench.bench_ingest [--log embedded|kafka|memory|URL] [--seconds 2] [--json FILE]

One limit is a bare ASGI app on the same uvicorn that reads the body and answers. The other appends the records
that ingest makes of a batch, made beforehand, to the same log. The server is a process of its own; only its
CPU seconds count, not the log's. Without --log an embedded Valkey with fsync is the log; `memory` keeps nothing.
"""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.log.connect import connect_log
from headrace.log.port import Log, NewRecord
from headrace.log.topics import ensure_topics
from headrace.runtime.direct import DirectHttpProtocol
from headrace.runtime.protocol import GuardedHttpProtocol
from headrace.runtime.settings import Environment
from services.ingest.main import assemble
from services.ingest.settings import load_settings
from tests.bench import cpu
from tests.bench.logs import add_log, kind, running_log
from tests.bench.report import Figure, Report, options, present
from tests.bench.serving import CONNECTIONS, Served, Taken, load, post, serving
from tests.unit.ingest.memory_log import MemoryLog
from tests.unit.ingest.service import ENVIRONMENT, PARTITIONS, SERVER_KEY, WEB_KEY, basic

BATCH = 100
TURNS = 3
MEMORY = "memory"
_PREFIX = "bench."
_HORIZON_MS = 600_000


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The limit: reads the body and answers 200."""
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


class _CapturingLog(MemoryLog):
    """Keeps what was appended, append by append."""

    def __init__(self) -> None:
        super().__init__()
        self.captured: list[tuple[str, int, list[NewRecord]]] = []

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        self.captured.append((topic, partition, list(records)))
        return await super().append(topic, partition, records)


def event(number: int) -> dict[str, object]:
    """A typical event, as a server's SDK sends it."""
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


def plan_file(stack: contextlib.ExitStack) -> Path:
    """A plan of the server's source with a check for each property that an event has."""
    properties = {
        "order_id": {"type": "string", "pattern": "^o-"},
        "total": {"type": "number", "minimum": 0},
        "currency": {"enum": ["CZK", "EUR"]},
        "products[].quantity": "integer",
    }
    required = ["order_id", "total", "currency", "products"]
    plan = {"kind": "plan", "source": "default", "on_violation": "block"}
    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "plan.yaml"
    events = {"Order Completed": {"required": required, "properties": properties}}
    file.write_text(json.dumps({**plan, "events": events}), encoding="utf-8")
    return file


def singles() -> list[bytes]:
    return [json.dumps(event(number)).encode() for number in range(1_000)]


def batches() -> list[bytes]:
    numbers = range(BATCH)
    return [json.dumps({"batch": [event(n * BATCH + k) for k in numbers]}).encode() for n in range(50)]


async def _open(url: str) -> Log:
    log = _ForgetfulLog() if url == MEMORY else await connect_log(url, rollback_horizon_ms=_HORIZON_MS)
    await ensure_topics(log, prefix=_PREFIX, partitions=PARTITIONS)
    return log


def _assemble(log: Log, **environment: str) -> ASGIApp:
    settings = load_settings(Environment({**ENVIRONMENT, "HEADRACE_TOPIC_PREFIX": _PREFIX, **environment}))
    return assemble(log, settings)


def _ingest(url: str, **environment: str) -> Callable[[], Awaitable[ASGIApp]]:
    async def make() -> ASGIApp:
        return _assemble(await _open(url), **environment)

    return make


async def _bare() -> ASGIApp:
    return echo


async def appends_of(body: bytes) -> list[tuple[str, int, list[NewRecord]]]:
    """What ingest appends for one batch: (topic, partition, records) each."""
    log = _CapturingLog()
    await ensure_topics(log, prefix=_PREFIX, partitions=PARTITIONS)
    app = _assemble(log)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/batch",
        "query_string": b"",
        "headers": [(b"authorization", basic(SERVER_KEY)["Authorization"].encode())],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    async def send(message: object) -> None:
        """Nobody reads the answer."""

    await app(scope, receive, send)
    return log.captured


async def bare_append(url: str, seconds: float, taken: Taken) -> None:
    """As many batches as the log takes, with as many at once as the load has connections."""
    prepared = [await appends_of(body) for body in batches()]
    log = await _open(url)
    before, started = cpu.seconds(os.getpid()), time.perf_counter()

    async def write(first: int) -> None:
        number = first
        while time.perf_counter() < started + seconds:
            await asyncio.gather(*(log.append(*append) for append in prepared[number % len(prepared)]))
            taken.requests += 1
            number += 1

    try:
        await asyncio.gather(*(write(number) for number in range(CONNECTIONS)))
        taken.seconds += time.perf_counter() - started
        taken.cpu += cpu.seconds(os.getpid()) - before
    finally:
        await log.close()


def compare(servers: dict[str, Served], requests: Sequence[bytes], seconds: float) -> dict[str, Taken]:
    """The servers in turns under the same load."""
    taken = {name: Taken() for name in servers}
    for server in servers.values():
        load(server, requests, 0.3, Taken())
    for _ in range(TURNS):
        for name, server in servers.items():
            load(server, requests, seconds / TURNS, taken[name])
    return taken


def figures(url: str, seconds: float) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        servers = {
            "bare": stack.enter_context(serving(_bare, "httptools")),
            "guarded": stack.enter_context(serving(_bare, GuardedHttpProtocol)),
            "memory": stack.enter_context(serving(_ingest(MEMORY), DirectHttpProtocol)),
            "planned": stack.enter_context(
                serving(_ingest(MEMORY, HEADRACE_PLANS=str(plan_file(stack))), DirectHttpProtocol)
            ),
        }
        if url != MEMORY:
            servers["log"] = stack.enter_context(serving(_ingest(url), DirectHttpProtocol))
        os.sched_setaffinity(0, {cpu.client_core()})
        authorization = basic(SERVER_KEY)["Authorization"]
        requests = [post("/v1/track", body, authorization) for body in singles()]
        taken = compare(servers, requests, seconds)
        yield from _against_echo("single POST", "requests", taken, 1)
        requests = [post("/v1/batch", body, authorization) for body in batches()]
        taken = compare(servers, requests, seconds)
        yield from _against_echo(f"batch of {BATCH}", "events", taken, BATCH)
    yield from _rates(seconds)
    if url == MEMORY:
        return
    bare = Taken()
    os.sched_setaffinity(0, {cpu.server_core()})
    uvloop.run(bare_append(url, seconds, bare))
    ours, against = taken["log"], "bare append of the same records"
    limit = bare.per_cpu_second(BATCH)
    yield Figure(f"batch of {BATCH}", ours.per_cpu_second(BATCH), "events/CPU-s", limit, against)
    yield Figure(f"batch of {BATCH}", ours.per_second(BATCH), "events/s", bare.per_second(BATCH), against)


def _rates(seconds: float) -> Iterator[Figure]:
    """What counting by key and by address costs a page's event: high rates against none."""
    names = ("HEADRACE_INGEST_RATE_PUBLIC", "HEADRACE_INGEST_RATE_ADDRESS")
    with contextlib.ExitStack() as stack:
        servers = {
            rate: stack.enter_context(serving(_ingest(MEMORY, **dict.fromkeys(names, rate)), DirectHttpProtocol))
            for rate in ("off", "1000000/s")
        }
        os.sched_setaffinity(0, {cpu.client_core()})
        authorization = basic(WEB_KEY)["Authorization"]
        taken = compare(servers, [post("/v1/track", body, authorization) for body in singles()], seconds)
        without, limited = (taken[rate].per_cpu_second(1) for rate in ("off", "1000000/s"))
    yield Figure("single POST of a page, rates counted", limited, "requests/CPU-s", without, "no rates")


def _against_echo(name: str, unit: str, taken: dict[str, Taken], events: int) -> Iterator[Figure]:
    bare = taken["bare"]
    limit, against = bare.per_cpu_second(events), "echo on uvicorn"
    for key, label in (
        ("guarded", f"{name}: echo behind our guards"),
        ("memory", f"{name}, log in memory"),
        ("planned", f"{name}, log in memory, held to a plan"),
        ("log", name),
    ):
        if key in taken:
            yield Figure(label, taken[key].per_cpu_second(events), f"{unit}/CPU-s", limit, against)
    if "log" in taken:
        yield Figure(name, taken["log"].per_second(events), f"{unit}/s", bare.per_second(events), against)


def run(arguments: Namespace) -> Report:
    with contextlib.ExitStack() as stack:
        url = MEMORY if arguments.log == MEMORY else stack.enter_context(running_log(arguments.log))
        found = list(figures(url, arguments.seconds))
    setting = f"{kind(url)}, {CONNECTIONS} connections, {len(json.dumps(event(1)))} bytes an event"
    return Report("ingest", setting, found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    add_log(parser)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
