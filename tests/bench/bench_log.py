"""How fast the embedded log is, beside the bare commands of the same server.

    python -m tests.bench.bench_log

Prints records/s of acknowledged (fsynced) appends for batches of 1 and 100, with one and with 16 writers, and
the time from an append's start until a waiting reader has the record; each as a ratio to plain XADD and
XREAD BLOCK. The ratio is what to compare between machines: the absolute figures are the disk's fsync.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from redis.asyncio import Redis

from headrace.contracts.topics import Topic
from headrace.log.port import NewRecord
from headrace.log.redis_streams import RedisStreamsLog
from tests import engines
from tests.conformance.log_engine import closing

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

    def __init__(self, client: "Redis") -> None:
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

    def __init__(self, log: RedisStreamsLog) -> None:
        self._log = log
        self._next = 0

    async def append(self, writer: int, batch: int) -> None:
        await self._log.append(TOPIC, writer % 4, [NewRecord(b"key", VALUE)] * batch)

    async def seek_to_end(self) -> None:
        self._next = (await self._log.bounds(TOPIC, 0)).end

    async def read(self) -> None:
        records = await self._log.read(TOPIC, 0, self._next, wait_ms=10_000)
        self._next = records[-1].offset + 1


async def main(url: str) -> None:
    connecting = RedisStreamsLog.connect(url, rollback_horizon_ms=3_600_000)
    async with Redis.from_url(url) as client, closing(await connecting) as log:
        await log.create_topics([Topic(TOPIC, "any", "Benchmark.")], 4)
        bare, ours = Bare(client), Ours(log)
        for writers in (1, 16):
            for batch in (1, 100):
                plain = await throughput(bare.append, batch, writers)
                rate = await throughput(ours.append, batch, writers)
                print(
                    f"append  {writers:2} writers  batches of {batch:3}: {rate:9,.0f} records/s"
                    f"   XADD {plain:9,.0f}   ratio {rate / plain:.2f}"
                )
        await bare.seek_to_end()
        await ours.seek_to_end()
        plain_ms, ours_ms = await latency(bare.append, bare.read), await latency(ours.append, ours.read)
        for name, at in (("median", 0.5), ("p99", 0.99)):
            mine, other = (times[int(len(times) * at)] for times in (ours_ms, plain_ms))
            print(
                f"append→read {name:6}: {mine:6.2f} ms   XADD, XREAD BLOCK {other:6.2f} ms"
                f"   ratio {mine / other:.2f}"
            )
        print(f"samples {SAMPLES}, mean {statistics.fmean(ours_ms):.2f} ms")


if __name__ == "__main__":
    with engines.valkey("always") as engine:
        asyncio.run(main(engine.url))
