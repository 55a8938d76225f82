"""The tracking routes on a connection without a socket, by ASGI or directly."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from prometheus_client import generate_latest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from headrace.contracts.topics import DEAD_LETTERS, EVENTS
from headrace.log.topics import ensure_topics
from headrace.runtime.direct import DirectHttpProtocol
from headrace.runtime.metrics import Metrics
from headrace.runtime.protocol import GuardedHttpProtocol
from headrace.runtime.rate.limiter import RateLimiter
from services.ingest.auth import KeyRing, Source
from services.ingest.budget import Budget
from services.ingest.collector import Collector
from services.ingest.config import TrackingConfig
from services.ingest.limits import Limits
from services.ingest.plan import Plans
from services.ingest.rates import IngestRates, RateSettings
from services.ingest.tracking import TrackingApi
from tests.unit.ingest.memory_log import MemoryLog
from tests.unit.ingest.service import PARTITIONS, SERVER_KEY, WEB_KEY, basic

WAYS = (GuardedHttpProtocol, DirectHttpProtocol)
ACK_SECONDS = 0.2
RECEIVED = 1_790_000_000_123
YIELDS = 60  # of the event loop: more than any request takes on a log in memory
SERVER = basic(SERVER_KEY)["Authorization"].encode()
PAGE_KEY, PAGE = "page-key", "https://shop.example"
"""A key for the pages of one origin."""
WEB = basic(WEB_KEY)["Authorization"].encode()
EVENT = {"messageId": "m1", "userId": "u1", "event": "Signed Up", "properties": {"plan": "a"}}


@dataclass
class Wire(asyncio.Transport):
    """The client's end: what it gets, and whether the server holds it back or has closed."""

    got: bytes = b""
    closed: bool = False
    ended: bool = False
    paused: bool = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("203.0.113.7", 4711), "sockname": ("127.0.0.1", 80)}.get(name, default)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.got += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def turn() -> None:
    for _ in range(YIELDS):
        await asyncio.sleep(0)


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """In the place of what is no tracking."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Side:
    """The tracking routes behind one of the two protocols, on a log of their own."""

    def __init__(
        self,
        protocol: type[GuardedHttpProtocol],
        *,
        hops: int = 0,
        capacity: int = 1_000_000,
        plans: Plans | None = None,
        rates: RateSettings | None = None,
    ) -> None:
        self.log, self.metrics, self.state = MemoryLog(), Metrics("ingest"), ServerState()
        self.state.default_headers = [(b"date", b"Mon, 21 Sep 2026 14:13:20 GMT")]
        collector = Collector(
            self.log,
            events_topic=EVENTS.name,
            dead_letters_topic=DEAD_LETTERS.name,
            partitions=PARTITIONS,
            ack_timeout=ACK_SECONDS,
            metrics=self.metrics,
            random=bytes,
            plans=plans,
        )
        keys = KeyRing(
            {
                SERVER_KEY: Source("default", trusted=True),
                WEB_KEY: Source("web", trusted=False),
                PAGE_KEY: Source("page", trusted=False, origins=frozenset({PAGE})),
            }
        )
        config = TrackingConfig(
            keys=keys,
            limits=Limits(),
            budget=Budget(capacity),
            rates=IngestRates(RateLimiter(None, self.metrics, lambda: RECEIVED), rates or RateSettings()),
            trusted_hops=hops,
        )
        self.app = TrackingApi(nothing_here, collector, config, self.metrics, lambda: RECEIVED)
        self._protocol = protocol
        self._config = uvicorn.Config(
            self.app, interface="asgi3", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._config.load()

    @classmethod
    async def start(cls, protocol: type[GuardedHttpProtocol], **settings: Any) -> "Side":
        side = cls(protocol, **settings)
        await ensure_topics(side.log, prefix="", partitions=PARTITIONS)
        return side

    def connect(self) -> tuple[Any, Wire]:
        wire = Wire()
        connection = self._protocol(self._config, self.state, {})
        connection.connection_made(wire)
        return connection, wire

    async def talk(self, pieces: Sequence[tuple[bytes, bool]]) -> tuple[Any, ...]:
        """Send the pieces, some with a pause behind them; everything that can be seen of it from outside."""
        connection, wire = self.connect()
        for data, pausing in pieces:
            while wire.paused and not wire.closed:
                await turn()
            if wire.closed:
                break
            connection.data_received(data)
            if pausing:
                await turn()
        await turn()
        seen = wire.got, wire.closed, wire.ended, self.state.total_requests
        connection.connection_lost(None)
        await turn()
        assert not self.state.tasks
        return *seen, self.landed(), self.counted()

    async def is_answered(self, wire: Wire) -> None:
        while not wire.got:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.001)

    def landed(self) -> list[Any]:
        return [
            (record.topic, record.partition, record.key, record.value, *plain_headers(record.headers))
            for topic in (EVENTS.name, DEAD_LETTERS.name)
            for record in self.log.records(topic)
        ]

    def counted(self) -> list[str]:
        """The metrics, without what depends on the clock."""
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return [line for line in lines if not any(word in line for word in ("_bucket", "_sum", "_created"))]


def plain_headers(headers: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """A trace's ids are by chance, unless the caller gave one."""
    return [(name, value[:1] + value[-3:] if name == "traceparent" else value) for name, value in headers]


def request(
    body: bytes,
    headers: Sequence[bytes] = (b"Authorization: " + SERVER,),
    line: bytes = b"POST /v1/track HTTP/1.1",
    length: bytes | None = None,
) -> bytes:
    size = b"Content-Length: %d" % len(body) if length is None else length
    return b"\r\n".join([line, b"Host: cdp", *headers, *([size] if size else []), b"", body])
