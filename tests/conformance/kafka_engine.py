"""A Kafka broker under the adapter, as the log's suite drives it."""

import asyncio
from typing import ClassVar

from headrace.log.kafka import KafkaLog
from headrace.log.port import Log
from tests.conformance.log_engine import SharedEngine
from tests.kafka.broker import Broker

# shorter than the default, which processes of their own (member_process) keep
SESSION_SECONDS = 2.0


class KafkaEngine(SharedEngine):
    """See `LogEngine`. `url` is of brokers that run already; only `OwnKafkaEngine` can be killed."""

    session_seconds: ClassVar[float] = SESSION_SECONDS

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    @property
    def addresses(self) -> str:
        """As in bootstrap.servers."""
        return self._url.removeprefix("kafka://")

    async def open(self, *, horizon_ms: int, timeout: float, max_record_bytes: int) -> KafkaLog:
        return await KafkaLog.connect(
            self._url,
            rollback_horizon_ms=horizon_ms,
            timeout=timeout,
            max_record_bytes=max_record_bytes,
            session_seconds=self.session_seconds,
        )

    async def trim(self, log: Log) -> None:
        raise NotImplementedError("Kafka trims by the age of records")

    async def shrink(self) -> None:
        raise NotImplementedError("Kafka takes records until its disk is full")


class OwnKafkaEngine(KafkaEngine):
    """A broker that one test at a time may kill."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.url)
        self._broker = broker

    async def start(self) -> None:
        # in a thread: clients must see their connections break meanwhile
        await asyncio.to_thread(self._broker.start)

    async def kill(self) -> None:
        await asyncio.to_thread(self._broker.kill)

    def pause(self) -> None:
        self._broker.pause()

    def resume(self) -> None:
        self._broker.resume()
