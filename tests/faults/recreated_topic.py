"""A topic that somebody deletes and makes again, on either log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from redis import asyncio as redis

from headrace.contracts.topics import TOPICS, Topic
from headrace.log.kafka.address import parse_address
from headrace.log.port import Log
from headrace.log.redis_streams import keys
from headrace.log.topics import deployed

_POLL_SECONDS = 0.05
_GONE_SECONDS = 30


async def recreate(log: Log, log_url: str, name: str, partitions: int, *, prefix: str = "") -> None:
    """Delete the topic of this name (without the prefix), and make it as the platform does. What it held is
    lost."""
    topic = next(deployed(topic, prefix) for topic in TOPICS if topic.name == name)
    if log_url.startswith("kafka"):
        await _delete_from_kafka(log_url, topic)
    else:
        await _delete_streams(log_url, topic, partitions)
    await log.create_topics([topic], partitions)


async def _delete_streams(log_url: str, topic: Topic, partitions: int) -> None:
    async with redis.Redis.from_url(log_url) as client:
        for q in range(partitions):
            names = (keys.records(topic.name, q), keys.meta(topic.name, q), keys.committed(topic.name, q))
            await client.delete(*names)


async def _delete_from_kafka(log_url: str, topic: Topic) -> None:
    async with _admin(log_url) as admin, asyncio.timeout(_GONE_SECONDS):
        await admin.delete_topics([topic.name])
        while topic.name in await admin.list_topics():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _admin(log_url: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(parse_address(log_url).servers))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
