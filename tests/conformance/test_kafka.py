"""Kafka keeps the log's port."""

from collections.abc import Iterator

import pytest

from tests.conformance.kafka_engine import SESSION_SECONDS, KafkaEngine, OwnKafkaEngine
from tests.conformance.log_engine import LogEngine
from tests.conformance.log_suite import LogSuite
from tests.kafka import cluster
from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def killable() -> Iterator[Broker]:
    with cluster.single() as broker:
        yield broker


@pytest.fixture
def engine(log_server_url: str) -> KafkaEngine:
    return KafkaEngine(log_server_url)


@pytest.fixture
def own_engine(killable: Broker) -> OwnKafkaEngine:
    """One broker for all tests that kill: each leaves it as it likes, and topics are a test's own anyway."""
    if not killable.running:
        killable.start()
    return OwnKafkaEngine(killable)


class TestKafka(LogSuite):
    settles = 3 * SESSION_SECONDS
    handover = 3.0
    unrenewed = 1.5 * SESSION_SECONDS

    @pytest.mark.xfail(strict=True, reason="what a stalled broker has received it appends when it goes on")
    async def test_an_append_lands_before_its_end_or_never(self, own_engine: LogEngine) -> None:
        await super().test_an_append_lands_before_its_end_or_never(own_engine)
