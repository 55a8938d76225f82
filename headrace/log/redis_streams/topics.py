"""The topics a server knows: partition count and the groups that trimming waits for."""

import msgspec

from headrace.contracts.topics import Topic
from headrace.log.port import WrongTopicSettings
from headrace.log.redis_streams import keys
from headrace.log.redis_streams.server import Server


class Declared(msgspec.Struct, frozen=True):
    """What is stored of a topic."""

    partitions: int
    groups: tuple[str, ...] = ()


async def declared_topics(server: Server) -> dict[str, Declared]:
    """Every topic on the server, by full name."""
    found = await server.call(server.client.hgetall, keys.TOPICS)
    return {name.decode(): msgspec.json.decode(raw, type=Declared) for name, raw in found.items()}


async def create_topic(server: Server, topic: Topic, partitions: int) -> None:
    """Create or check one topic. A full server still lets us check: what stands is not written again."""
    wanted = Declared(partitions, topic.groups)
    raw = msgspec.json.encode(wanted)
    found = await server.call(server.client.hget, keys.TOPICS, topic.name)
    if found is None:
        await server.call(server.client.hsetnx, keys.TOPICS, topic.name, raw)
        found = await server.call(server.client.hget, keys.TOPICS, topic.name)
    stands = msgspec.json.decode(found, type=Declared)
    if stands.partitions != partitions:
        raise WrongTopicSettings(
            f"topic {topic.name} has {stands.partitions} partitions, not {partitions}: the number is fixed for a "
            f"deployment; set HEADRACE_PARTITIONS={stands.partitions}, or start with an empty log"
        )
    if stands != wanted:
        await server.call(server.client.hset, keys.TOPICS, topic.name, raw)
    for partition in range(partitions):
        await _create_partition(server, keys.meta(topic.name, partition))


async def _create_partition(server: Server, key: str) -> None:
    if await server.call(server.client.exists, key):
        return
    # `end` decides whether a partition exists, so it comes last
    await server.call(server.client.hsetnx, key, "begin", 0)
    await server.call(server.client.hsetnx, key, "end", 0)
