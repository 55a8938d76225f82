"""What the log's suite needs of an engine, and how its tests open logs and make records."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from headrace.contracts.topics import Topic
from headrace.log.port import Log, NewRecord, Record

HOUR_MS = 3_600_000
PARTITIONS = 4

L = TypeVar("L", bound=Log)


class LogEngine(Protocol):
    """A running engine and the adapter under test."""

    @property
    def url(self) -> str:
        """What HEADRACE_LOG_URL would be."""
        ...

    async def open(self, *, horizon_ms: int, timeout: float, max_record_bytes: int) -> Log:
        """A log that trims only when `trim` is called. `timeout` is every call's deadline in seconds."""
        ...

    async def trim(self, log: Log) -> None:
        """Let the log remove now what it may."""
        ...

    async def shrink(self) -> None:
        """Leave room for a few megabytes of records."""
        ...

    async def kill(self) -> None:
        """kill -9."""
        ...

    async def start(self) -> None:
        """Start again on the same data at the same address."""
        ...

    def pause(self) -> None:
        """SIGSTOP."""
        ...

    def resume(self) -> None:
        """SIGCONT."""
        ...


class SharedEngine:
    """What no test may do to an engine that others use."""

    async def kill(self) -> None:
        raise AssertionError("the shared engine is not killed: ask for own_engine")

    async def start(self) -> None:
        raise AssertionError("the shared engine runs")

    def pause(self) -> None:
        raise AssertionError("the shared engine is not paused: ask for own_engine")

    def resume(self) -> None:
        raise AssertionError("the shared engine runs")


@asynccontextmanager
async def closing(log: L) -> AsyncIterator[L]:
    """The log, closed in the end whatever happens."""
    try:
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def opened(
    engine: LogEngine, *, horizon_ms: int = HOUR_MS, timeout: float = 3.0, max_record_bytes: int = 1_048_576
) -> AsyncIterator[Log]:
    """A log that is closed in the end."""
    async with closing(
        await engine.open(horizon_ms=horizon_ms, timeout=timeout, max_record_bytes=max_record_bytes)
    ) as log:
        yield log


def fresh(kind: str) -> str:
    """A name that no other test uses."""
    return f"{kind}-{secrets.token_hex(6)}"


async def new_topic(log: Log, *groups: str) -> str:
    """A topic of its own for a test."""
    topic = Topic(fresh("topic"), "any", "A topic of one test.", groups=groups)
    await log.create_topics([topic], PARTITIONS)
    return topic.name


def numbered(first: int, count: int) -> list[NewRecord]:
    """Records whose values are the numbers from `first` on."""
    return [NewRecord(b"key", b"%d" % number) for number in range(first, first + count)]


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


async def read_all(log: Log, topic: str, partition: int = 0) -> list[Record]:
    """Everything the partition holds."""
    bounds = await log.bounds(topic, partition)
    found: list[Record] = []
    offset = bounds.begin
    while offset < bounds.end:
        records = await log.read(topic, partition, offset)
        assert records, f"nothing at {offset} below the end {bounds.end}"
        found += records
        offset = records[-1].offset + 1
    return found


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.005)
