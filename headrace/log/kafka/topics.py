"""Creating topics with the settings the guarantees need, and refusing those that have others."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from headrace.contracts.topics import Topic
from headrace.log.kafka.address import Address
from headrace.log.kafka.clients import deadline, options, started, stopped
from headrace.log.port import MAX_BATCH_BYTES, LogUnavailable, WrongTopicSettings

log = structlog.get_logger()

ADMIN_SECONDS = 30.0
POLL_SECONDS = 0.05
COPIES = 3
RETENTION_MS = 7 * 86_400_000
# room for what a batch has beside its records
LARGEST_BATCH = MAX_BATCH_BYTES * 5 // 4

Settings = Mapping[str, str]


class _Admin(AIOKafkaAdminClient):  # type: ignore[misc]
    """The admin client, stopped like the others."""

    @property
    def connection(self) -> AIOKafkaClient:
        return self._client

    async def stop(self) -> None:
        await self.close()


async def create_topics(
    address: Address, topics: Sequence[Topic], partitions: int, *, horizon_ms: int, timeout: float
) -> None:
    """Create what is missing, then check all. Raises WrongTopicSettings or LogUnavailable."""
    admin = _Admin(**options(address, timeout))
    await started(admin, admin.connection, address, timeout)
    try:
        async with deadline(address, ADMIN_SECONDS):
            existing = await _partition_counts(admin)
            if missing := [topic for topic in topics if topic.name not in existing]:
                await _create(admin, missing, partitions, address, horizon_ms)
                existing = await _appeared(admin, missing)
            settings = await _settings(admin, [topic.name for topic in topics])
    finally:
        await stopped(admin, admin.connection)
    for topic in topics:
        check(topic, existing[topic.name], partitions, settings[topic.name], horizon_ms)


def check(topic: Topic, existing: int, partitions: int, settings: Settings, horizon_ms: int) -> None:
    """Raises WrongTopicSettings where the topic breaks a guarantee: what is wrong and how to set it right."""
    if existing != partitions:
        raise WrongTopicSettings(
            f"{topic.name} has {existing} partitions, not {partitions}: all topics of a deployment have as many; "
            f"set HEADRACE_PARTITIONS={existing}, or use another HEADRACE_TOPIC_PREFIX"
        )
    for name, found, right in _wrong(topic, settings, horizon_ms):
        raise WrongTopicSettings(
            f"{topic.name} has {name}={found}, it must be {right}; set it: kafka-configs.sh --alter "
            f"--entity-type topics --entity-name {topic.name} --add-config {name}={right.split()[-1]}"
        )


def _wrong(topic: Topic, settings: Settings, horizon_ms: int) -> list[tuple[str, str, str]]:
    """Name, value and what would be right of each setting that breaks a guarantee."""
    wrong: list[tuple[str, str, str]] = []
    policy = settings.get("cleanup.policy", "delete")
    if policy != topic.cleanup:
        wrong.append(("cleanup.policy", policy, topic.cleanup))
    stamped = settings.get("message.timestamp.type", "CreateTime")
    if topic.log_append_time and stamped != "LogAppendTime":
        wrong.append(("message.timestamp.type", stamped, "LogAppendTime"))
    retention = int(settings.get("retention.ms", "-1"))
    if topic.cleanup == "delete" and 0 <= retention < horizon_ms:
        wrong.append(("retention.ms", str(retention), f"at least HEADRACE_ROLLBACK_HORIZON: {horizon_ms}"))
    largest = int(settings.get("max.message.bytes", str(LARGEST_BATCH)))
    if largest < LARGEST_BATCH:
        wrong.append(("max.message.bytes", str(largest), f"at least {LARGEST_BATCH}"))
    return wrong


def settings_of(topic: Topic, horizon_ms: int, copies: int) -> dict[str, str]:
    """What we create the topic with."""
    settings = {
        "cleanup.policy": topic.cleanup,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(LARGEST_BATCH),
        # with three copies one may be away, and an acknowledged record still has two
        "min.insync.replicas": str(max(1, copies - 1)),
    }
    if topic.cleanup == "delete":
        settings["retention.ms"] = str(max(RETENTION_MS, 2 * horizon_ms))
    return settings


async def _partition_counts(admin: _Admin) -> dict[str, int]:
    """Partitions by topic, of all topics: asking for one by its name could create it."""
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if not topic["error_code"]
    }


async def _create(
    admin: _Admin, topics: Sequence[Topic], partitions: int, address: Address, horizon_ms: int
) -> None:
    if admin.connection.cluster.controller is None and not await _controller_appears(admin):
        raise LogUnavailable(f"Kafka at {address} has no controller now")
    brokers = len((await admin.describe_cluster())["brokers"])
    copies = address.replication or min(COPIES, brokers)
    response = await admin.create_topics(
        [
            NewTopic(topic.name, partitions, copies, topic_configs=settings_of(topic, horizon_ms, copies))
            for topic in topics
        ]
    )
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another service was quicker
            raise LogUnavailable(f"Kafka at {address} did not create {name}: {message or error.__name__}")
    log.info("topics_created", topics=[topic.name for topic in topics], partitions=partitions, copies=copies)


async def _controller_appears(admin: _Admin) -> bool:
    """Whether a second look finds one: while none is elected, the library would fail in its own way."""
    await admin.connection.force_metadata_update()
    return admin.connection.cluster.controller is not None


async def _appeared(admin: _Admin, topics: Sequence[Topic]) -> dict[str, int]:
    """Wait until the brokers know the new topics; the caller has the deadline."""
    names = {topic.name for topic in topics}
    while True:
        existing = await _partition_counts(admin)
        if names <= existing.keys() and all(existing[name] for name in names):
            return existing
        await asyncio.sleep(POLL_SECONDS)


async def _settings(admin: _Admin, names: Sequence[str]) -> dict[str, Settings]:
    """By topic. A broker that does not know a new one yet is asked again; the caller has the deadline."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    while True:
        found: dict[str, Settings] = {}
        for response in await admin.describe_configs(resources):
            for code, message, _, name, entries in response.resources:
                if not code:
                    found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
                elif for_code(code) is not UnknownTopicOrPartitionError:
                    raise LogUnavailable(f"Kafka does not tell the settings of {name}: {message}")
        if len(found) == len(names):
            return found
        await asyncio.sleep(POLL_SECONDS)
