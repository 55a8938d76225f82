"""Kafka keeps the log's port."""

import pytest

from tests.conformance.kafka_engine import SESSION_SECONDS, KafkaEngine, OwnKafkaEngine
from tests.conformance.log_engine import LogEngine
from tests.conformance.log_suite import LogSuite

pytestmark = pytest.mark.kafka


class TestKafka(LogSuite):
    settles = 3 * SESSION_SECONDS
    handover = 3.0
    unrenewed = 1.5 * SESSION_SECONDS

    @pytest.fixture
    def engine(self, kafka_engine: KafkaEngine) -> KafkaEngine:
        return kafka_engine

    @pytest.fixture
    def own_engine(self, own_kafka_engine: OwnKafkaEngine) -> OwnKafkaEngine:
        return own_kafka_engine

    @pytest.mark.xfail(strict=True, reason="what a stalled broker has received it appends when it goes on")
    async def test_an_append_lands_before_its_end_or_never(self, own_engine: LogEngine) -> None:
        await super().test_an_append_lands_before_its_end_or_never(own_engine)
