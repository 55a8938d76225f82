"""Creating the deployment's topics: what `headrace topics create` and every service do at start."""

from dataclasses import replace

from headrace.contracts.topics import TOPICS, Topic
from headrace.log.port import Log


def deployed(topic: Topic, prefix: str) -> Topic:
    """The topic under its full name. Groups keep theirs: a group's position stands per full topic name."""
    return replace(topic, name=prefix + topic.name)


async def ensure_topics(log: Log, *, prefix: str, partitions: int) -> None:
    """Create what is missing of the declared topics and check the rest. Idempotent; safe in every service.

    Raises WrongTopicSettings when a topic has another partition count than `partitions`.
    """
    await log.create_topics([deployed(topic, prefix) for topic in TOPICS], partitions)
