"""A Kafka of three brokers under a fault platform, and what becomes of its leaders."""

import contextlib
import time
from pathlib import Path

from headrace.local.ports import free_port
from tests.faults.engines import APPEND
from tests.faults.evidence import EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES
from tests.faults.platform import Platform
from tests.faults.suite import Row
from tests.kafka import cluster
from tests.kafka.broker import Broker
from tests.kafka.cluster import Cluster

_TOPICS = (EVENTS, PROFILE_EVENTS, SEGMENT_CHANGES)


class Replicated:
    """See `tests.faults.engines.Engine`. Clients know every broker: the proxy stands beside the way."""

    request: tuple[bytes, ...] = APPEND

    def __init__(self, _: Path) -> None:
        self.port, self.proxy_port = free_port(), free_port()
        self.url = self.proxied_url = ""
        self._running = contextlib.ExitStack()
        self._cluster: Cluster | None = None

    def leader(self, topic: str, partition: int = 0) -> Broker:
        """The broker that leads a partition."""
        assert self._cluster is not None
        return self._cluster.leader(topic, partition)

    def start(self) -> None:
        if self._cluster is None:
            self._cluster = self._running.enter_context(cluster.cluster())
            self.url = self.proxied_url = self._cluster.url
        self._cluster.heal()

    def kill(self) -> None:
        """Every broker."""
        assert self._cluster is not None
        for broker in self._cluster.brokers:
            broker.kill()

    def stop(self) -> None:
        self._running.close()


def _cluster_of(platform: Platform) -> Replicated:
    assert isinstance(platform.log, Replicated)
    return platform.log


def _leader_lost(platform: Platform) -> float:
    time.sleep(1)
    _cluster_of(platform).leader(EVENTS).kill()
    return time.time()


def _leader_stopped(platform: Platform) -> float:
    time.sleep(1)
    leader = _cluster_of(platform).leader(PROFILE_EVENTS)
    leader.pause()
    time.sleep(10)
    leader.resume()
    return time.time()


def _leaders_one_by_one(platform: Platform) -> float:
    for topic in _TOPICS:
        time.sleep(1)
        _cluster_of(platform).leader(topic).kill()
        _cluster_of(platform).start()
    return time.time()


ROWS = [
    Row("leader killed", _leader_lost),
    Row("leader stopped for 10 s, then it goes on", _leader_stopped),
    Row("leaders killed one by one, each back before the next", _leaders_one_by_one, seconds=10),
]
