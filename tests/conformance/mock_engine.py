"""The mock broker inside confluent-kafka's library under the Kafka adapter: no Java, no process, no disk."""

import asyncio
from collections.abc import Sequence

from confluent_kafka import Producer

from headrace.contracts.topics import Topic
from headrace.log.kafka import KafkaLog
from headrace.log.port import WrongTopicSettings
from tests.conformance.kafka_engine import KafkaEngine

_SECONDS = 10.0


class MockBroker:
    """Runs as long as its client lives."""

    def __init__(self) -> None:
        self._client = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._client.list_topics(timeout=_SECONDS).brokers.values()
        self.url = "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def make(self, topic: str, partitions: int) -> None:
        """It makes a topic when somebody asks for it, always with four partitions: so many the suite's have."""
        found = len(self._client.list_topics(topic, timeout=_SECONDS).topics[topic].partitions)
        if found != partitions:
            raise WrongTopicSettings(f"{topic} has {found} partitions, not {partitions}")


class MockEngine(KafkaEngine):
    """See `LogEngine`. The adapter is the real one, but for the making of topics."""

    session_seconds = 6.0  # the mock broker takes none shorter

    def __init__(self, broker: MockBroker) -> None:
        super().__init__(broker.url)
        self._broker = broker

    async def open(self, *, horizon_ms: int, timeout: float, max_record_bytes: int) -> KafkaLog:
        log = await super().open(horizon_ms=horizon_ms, timeout=timeout, max_record_bytes=max_record_bytes)
        log.create_topics = self._make  # type: ignore[method-assign]
        return log

    async def kill(self) -> None:
        raise NotImplementedError("the mock broker lives in this process")

    def pause(self) -> None:
        raise NotImplementedError("the mock broker lives in this process")

    async def _make(self, topics: Sequence[Topic], partitions: int) -> None:
        for topic in topics:
            await asyncio.to_thread(self._broker.make, topic.name, partitions)
