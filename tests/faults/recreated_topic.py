"""A topic that somebody deletes and makes again, on either log."""

import asyncio

from redis import asyncio as redis

from headrace.contracts.topics import TOPICS, Topic
from headrace.log.port import Log
from headrace.log.redis_streams import keys
from headrace.log.topics import deployed
from tests.e2e.wait import wait_until
from tests.kafka import admin

_SECONDS = 30.0


async def recreate(log: Log, log_url: str, name: str, partitions: int, *, prefix: str = "") -> None:
    """Delete the topic of this name (without the prefix), and make it as the platform does. What it held is
    lost."""
    topic = next(deployed(topic, prefix) for topic in TOPICS if topic.name == name)
    if log_url.startswith("kafka"):
        await asyncio.to_thread(_delete_from_kafka, log_url.removeprefix("kafka://"), topic.name)
    else:
        await _delete_streams(log_url, topic, partitions)
    await log.create_topics([topic], partitions)


async def _delete_streams(log_url: str, topic: Topic, partitions: int) -> None:
    async with redis.Redis.from_url(log_url) as client:
        for q in range(partitions):
            names = (keys.records(topic.name, q), keys.meta(topic.name, q), keys.committed(topic.name, q))
            await client.delete(*names)


def _delete_from_kafka(addresses: str, name: str) -> None:
    admin.delete_topic(addresses, name)
    client = admin.client(addresses)
    wait_until(lambda: name not in client.list_topics(timeout=_SECONDS).topics, _SECONDS, what=f"{name} to go")
