"""Creating the deployment's topics: what `headrace topics create` and every service do at start."""

from dataclasses import replace

from headrace.contracts.topics import TOPICS, Topic
from headrace.log.port import Log


def deployed(topic: Topic, prefix: str) -> Topic:
    """The topic and the groups that read it under their full names."""
    return replace(topic, name=prefix + topic.name, groups=tuple(prefix + group for group in topic.groups))


async def ensure_topics(log: Log, *, prefix: str, partitions: int) -> None:
    """Create what is missing of the declared topics and check the rest. Idempotent; safe in every service.

    Raises WrongTopicSettings when a topic has another partition count than `partitions`.
    """
    await log.create_topics([deployed(topic, prefix) for topic in TOPICS], partitions)


def has_topic(log_url: str, topic: Topic) -> bool:
    """Whether the log at `log_url` keeps this topic: some need what only Kafka can do."""
    return not topic.kafka_only or log_url.startswith("kafka:")
