"""Kafka for the log's suite: one broker that all share, one that tests kill, a cluster."""

from collections.abc import Iterator

import pytest

from tests.conformance.kafka_engine import KafkaEngine, OwnKafkaEngine
from tests.kafka.broker import Broker
from tests.kafka.cluster import Cluster, cluster, single


@pytest.fixture
def kafka_engine(log_server_url: str) -> KafkaEngine:
    return KafkaEngine(log_server_url)


@pytest.fixture(scope="session")
def killable_broker() -> Iterator[Broker]:
    with single() as broker:
        yield broker


@pytest.fixture
def own_kafka_engine(killable_broker: Broker) -> OwnKafkaEngine:
    """One broker for all tests that kill: each leaves it as it likes, and topics are a test's own anyway."""
    if not killable_broker.running:
        killable_broker.start()
    return OwnKafkaEngine(killable_broker)


@pytest.fixture(scope="session")
def three_brokers() -> Iterator[Cluster]:
    with cluster(3) as brokers:
        yield brokers


@pytest.fixture
def kafka_cluster(three_brokers: Cluster) -> Cluster:
    """Three brokers that all run."""
    three_brokers.heal()
    return three_brokers
