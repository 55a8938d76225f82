"""Several brokers that replicate: what leader loss is tried on."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headrace.local.ports import free_port
from tests import engines
from tests.e2e.wait import wait_until
from tests.kafka import admin
from tests.kafka.archive import fast_jvm
from tests.kafka.broker import Broker

_HEALTHY_SECONDS = 60.0


@dataclass(frozen=True)
class Cluster:
    """Brokers 1 to n, each a controller too. Every topic has n replicas; two must have a record."""

    brokers: tuple[Broker, ...]

    @property
    def addresses(self) -> str:
        return ",".join(broker.address for broker in self.brokers)

    @property
    def url(self) -> str:
        """What HEADRACE_LOG_URL would be."""
        return f"kafka://{self.addresses}"

    def leader(self, topic: str, partition: int) -> Broker:
        """The broker that leads the partition; waits while there is none."""
        node = wait_until(lambda: max(0, admin.leader(self.addresses, topic, partition)), what="a leader")
        return self.brokers[node - 1]

    def heal(self) -> None:
        """Start the brokers that do not run; return when all serve."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Broker.start, [broker for broker in self.brokers if not broker.running]))
        everybody = {broker.node for broker in self.brokers}
        wait_until(
            lambda: all(admin.live_brokers(broker.address) == everybody for broker in self.brokers),
            _HEALTHY_SECONDS,
            what="every broker to know every other",
        )

    def catch_up(self, topic: str) -> None:
        """Start the brokers that do not run; return when all have everything of the topic."""
        self.heal()
        wait_until(
            lambda: admin.copies(self.addresses, topic) == len(self.brokers),
            _HEALTHY_SECONDS,
            what="every broker to have everything",
        )


@contextlib.contextmanager
def cluster(size: int = 3) -> Iterator[Cluster]:
    """A running cluster on free ports, its data in a temporary folder."""
    quorum = {node: free_port() for node in range(1, size + 1)}
    with engines.data_folder() as folder, contextlib.ExitStack() as stack:
        found = []
        for node in quorum:
            (own := folder / str(node)).mkdir()
            found.append(Broker(own, fast_jvm(), node=node, quorum=quorum))
            stack.callback(found[-1].__exit__, None, None, None)
        whole = Cluster(tuple(found))
        whole.heal()
        yield whole


@contextlib.contextmanager
def single(**settings: str) -> Iterator[Broker]:
    """A running broker on free ports, its data in a temporary folder."""
    with engines.data_folder() as folder, Broker(folder, fast_jvm(), settings=settings) as broker:
        yield broker
