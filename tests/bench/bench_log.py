"""How fast a log appends and hands on, beside the bare commands of the embedded log's server.

    python -m tests.bench.bench_log [--log embedded|kafka|URL] [--json FILE]

Records a second of acknowledged (on the embedded log: fsynced) appends in batches of 1 and of 100, with one and
with 16 writers, and the time from an append's start until a waiting reader has the record; beside plain XADD and
XREAD BLOCK when the log is Redis Streams. The ratio is what to compare between machines: the absolute figures
are the disk's fsync.
"""

import asyncio
import contextlib
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from redis.asyncio import Redis

from headrace.contracts.topics import Topic
from headrace.log.connect import connect_log
from headrace.log.port import Log, NewRecord
from tests.bench.logs import add_log, kind, running_log
from tests.bench.report import Figure, Report, options, present

SECONDS = 2.0
SAMPLES = 300
TOPIC = "bench"
VALUE = b"x" * 800

Append = Callable[[int, int], Awaitable[None]]


async def throughput(append: Append, batch: int, writers: int) -> float:
    """Records per second that `append(writer, batch)` reaches."""
    deadline = time.perf_counter() + SECONDS

    async def write(writer: int) -> int:
        count = 0
        while time.perf_counter() < deadline:
            await append(writer, batch)
            count += batch
        return count

    return sum(await asyncio.gather(*(write(writer) for writer in range(writers)))) / SECONDS


async def latency(append: Append, read: Callable[[], Coroutine[None, None, None]]) -> list[float]:
    """Milliseconds from the start of an append until the waiting reader has the record; sorted."""
    found = []
    for _ in range(SAMPLES):
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0.002)  # the reader is waiting by now, as in a quiet service
        started = time.perf_counter()
        appending = asyncio.ensure_future(append(0, 1))
        await waiting
        found.append((time.perf_counter() - started) * 1000)
        await appending
    return sorted(found)


class Bare:
    """The server's own commands."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._last: bytes = b"0"

    async def append(self, writer: int, batch: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for _ in range(batch):
            pipeline.xadd(f"bare-{writer % 4}", {b"r": VALUE})
        await pipeline.execute()

    async def seek_to_end(self) -> None:
        entries: Any = await self._client.xrevrange("bare-0", count=1)
        self._last = entries[0][0]

    async def read(self) -> None:
        answer: Any = await self._client.xread({"bare-0": self._last}, block=10_000)
        entries = answer[b"bare-0"] if isinstance(answer, dict) else answer[0][1]
        self._last = entries[-1][0]


class Ours:
    """The log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._next = 0

    async def append(self, writer: int, batch: int) -> None:
        await self._log.append(TOPIC, writer % 4, [NewRecord(b"key", VALUE)] * batch)

    async def seek_to_end(self) -> None:
        self._next = (await self._log.bounds(TOPIC, 0)).end

    async def read(self) -> None:
        records = await self._log.read(TOPIC, 0, self._next, wait_ms=10_000)
        self._next = records[-1].offset + 1


async def appends(bare: Bare | None, ours: Ours) -> AsyncIterator[Figure]:
    for writers in (1, 16):
        for batch in (1, 100):
            plain = None if bare is None else await throughput(bare.append, batch, writers)
            rate = await throughput(ours.append, batch, writers)
            name = f"append, {writers} writers, batches of {batch}"
            yield Figure(name, rate, "records/s", plain, "XADD" if bare else "")


async def waits(bare: Bare | None, ours: Ours) -> AsyncIterator[Figure]:
    await ours.seek_to_end()
    mine = await latency(ours.append, ours.read)
    other = None
    if bare is not None:
        await bare.seek_to_end()
        other = await latency(bare.append, bare.read)
    for name, at in (("p50", 0.5), ("p99", 0.99)):
        place = int(SAMPLES * at)
        limit = None if other is None else other[place]
        yield Figure(f"append to read, {name}", mine[place], "ms", limit, "XADD, XREAD BLOCK" if bare else "")


async def measure(url: str) -> list[Figure]:
    async with contextlib.AsyncExitStack() as stack:
        log = await connect_log(url, rollback_horizon_ms=3_600_000)
        stack.push_async_callback(log.close)
        await log.create_topics([Topic(TOPIC, "any", "Benchmark.")], 4)
        bare = None
        if url.startswith("redis"):
            bare = Bare(await stack.enter_async_context(Redis.from_url(url)))
        ours = Ours(log)
        return [figure async for figure in appends(bare, ours)] + [figure async for figure in waits(bare, ours)]


def run(arguments: Namespace) -> Report:
    with running_log(arguments.log) as url:
        found = asyncio.run(measure(url))
    return Report("log", f"{kind(url)}, {len(VALUE)} bytes a record, {SAMPLES} samples", found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    add_log(parser)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
