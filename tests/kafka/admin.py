"""What tests ask of a Kafka behind the adapter's back, with the client of another make."""

from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from tests.e2e.wait import wait_until

_SECONDS = 10.0


def client(addresses: str) -> AdminClient:
    """`addresses` as in bootstrap.servers. It logs nothing: a broker that is away is what tests are about."""
    return AdminClient({"bootstrap.servers": addresses, "log_level": 0})


def live_brokers(addresses: str) -> set[int]:
    """The ids of the brokers that the answering one knows to serve; none when nobody answers within 2 s."""
    with suppress(KafkaException):
        return set(client(addresses).list_topics(timeout=2).brokers)
    return set()


def leader(addresses: str, topic: str, partition: int) -> int:
    """The id of the broker that leads the partition; -1 when there is none."""
    found = client(addresses).list_topics(topic, timeout=_SECONDS)
    return int(found.topics[topic].partitions[partition].leader)


def copies(addresses: str, topic: str) -> int:
    """How many brokers have everything of the partition that the fewest have."""
    found = client(addresses).list_topics(topic, timeout=_SECONDS)
    return min(len(partition.isrs) for partition in found.topics[topic].partitions.values())


def create_topic(addresses: str, name: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
    admin = client(addresses)
    topic = NewTopic(name, num_partitions=partitions, config=dict(settings or {}))
    admin.create_topics([topic])[name].result(_SECONDS)


def delete_topic(addresses: str, name: str) -> None:
    admin = client(addresses)
    admin.delete_topics([name])[name].result(_SECONDS)


def topic_settings(addresses: str, name: str) -> dict[str, str]:
    """The topic's settings, the defaults included."""
    admin = client(addresses)
    resource = ConfigResource(ResourceType.TOPIC, name)
    found = admin.describe_configs([resource])[resource].result(_SECONDS)
    return {entry.name: entry.value for entry in found.values()}


def set_topic(addresses: str, name: str, setting: str, value: str) -> None:
    """Change one setting of a topic; return when the broker goes by it."""
    admin = client(addresses)
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(_SECONDS)
    wait_until(lambda: topic_settings(addresses, name)[setting] == value, what=f"{setting}={value}")


def delete_records(addresses: str, topic: str, partition: int, before: int) -> None:
    """Remove the records below the offset `before`, as retention does."""
    admin = client(addresses)
    where = TopicPartition(topic, partition, before)
    admin.delete_records([where])[where].result(_SECONDS)


def committed(addresses: str, group: str, topic: str, partition: int) -> int:
    """The group's offset; -1001 when it has none."""
    admin = client(addresses)
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
    found = admin.list_consumer_group_offsets([asked])[group].result(_SECONDS)
    return int(found.topic_partitions[0].offset)


def shares(addresses: str, group: str) -> list[set[int]]:
    """The partition numbers of each member of a group, as its coordinator knows them; none when it does not
    answer."""
    admin = client(addresses)  # an answer never comes to a client that is gone
    asked = admin.describe_consumer_groups([group], request_timeout=_SECONDS)[group]
    with suppress(KafkaException):
        members = asked.result(2 * _SECONDS).members
        return [{where.partition for where in member.assignment.topic_partitions} for member in members]
    return []
