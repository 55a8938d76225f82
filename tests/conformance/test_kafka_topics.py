"""Kafka's topics: settings that would break a guarantee are refused, and what happens to a topic is noticed."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from headrace.contracts.topics import Topic
from headrace.log.port import Bounds, Log, LogUnavailable, OffsetOutOfRange, RecordTooLarge, WrongTopicSettings
from tests.conformance.kafka_engine import KafkaEngine
from tests.conformance.log_engine import (
    HOUR_MS,
    PARTITIONS,
    eventually,
    fresh,
    new_topic,
    numbered,
    opened,
    read_all,
    values,
)
from tests.kafka import admin

pytestmark = pytest.mark.kafka

RIGHT = {
    "cleanup.policy": "delete",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "10000000",
    "retention.ms": str(2 * HOUR_MS),
}
SOON = 10.0


@pytest.fixture
async def log(kafka_engine: KafkaEngine) -> AsyncIterator[Log]:
    async with opened(kafka_engine, horizon_ms=HOUR_MS) as log:
        yield log


def declared(cleanup: str = "delete") -> Topic:
    return Topic(fresh("topic"), "any", "Made by somebody else.", cleanup=cleanup, log_append_time=True)  # type: ignore[arg-type]


async def made(engine: KafkaEngine, topic: Topic, settings: Mapping[str, str]) -> None:
    """The topic, made by an administrator with these settings."""
    await asyncio.to_thread(admin.create_topic, engine.addresses, topic.name, PARTITIONS, settings)


@pytest.mark.parametrize(
    ("setting", "wrong", "right"),
    [
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("retention.ms", str(HOUR_MS - 1), str(HOUR_MS)),
        ("cleanup.policy", "compact", "delete"),
        ("max.message.bytes", "100000", "5242880"),
    ],
)
async def test_a_setting_that_breaks_a_guarantee_is_refused_with_the_command_that_mends_it(
    kafka_engine: KafkaEngine, log: Log, setting: str, wrong: str, right: str
) -> None:
    topic = declared()
    await made(kafka_engine, topic, {**RIGHT, setting: wrong})
    with pytest.raises(WrongTopicSettings, match=f"{topic.name} has {setting}={wrong}") as refused:
        await log.create_topics([topic], PARTITIONS)
    assert f"--entity-name {topic.name} --add-config {setting}={right}" in str(refused.value)
    await asyncio.to_thread(admin.set_topic, kafka_engine.addresses, topic.name, setting, right)
    await log.create_topics([topic], PARTITIONS)


async def test_what_we_create_has_the_settings_we_demand(kafka_engine: KafkaEngine, log: Log) -> None:
    topic, compacted = declared(), declared("compact")
    await log.create_topics([topic, compacted], PARTITIONS)
    found = [admin.topic_settings(kafka_engine.addresses, one.name) for one in (topic, compacted)]
    assert [one["cleanup.policy"] for one in found] == ["delete", "compact"]
    assert found[0]["message.timestamp.type"] == "LogAppendTime"
    assert int(found[0]["retention.ms"]) >= HOUR_MS


async def test_what_retention_removed_is_out_of_range(kafka_engine: KafkaEngine, log: Log) -> None:
    topic = await new_topic(log)
    await log.append(topic, 0, numbered(0, 5))
    await asyncio.to_thread(admin.delete_records, kafka_engine.addresses, topic, 0, 3)
    assert await log.bounds(topic, 0) == Bounds(3, 5)
    with pytest.raises(OffsetOutOfRange, match=r"2 of .* not within 3 to 5"):
        await log.read(topic, 0, 2)
    assert values(await read_all(log, topic)) == [b"3", b"4"]
    assert await log.append(topic, 0, numbered(5, 1)) == 5


async def test_a_topic_made_anew_is_noticed_and_nothing_is_reset_in_silence(
    kafka_engine: KafkaEngine, log: Log
) -> None:
    topic = declared()
    await log.create_topics([topic], PARTITIONS)
    await log.append(topic.name, 0, numbered(0, 5))
    assert len(await log.read(topic.name, 0, 0)) == 5
    waiting = asyncio.create_task(log.read(topic.name, 0, 5, wait_ms=int(3 * SOON * 1000)))
    await asyncio.sleep(0)

    await asyncio.to_thread(admin.delete_topic, kafka_engine.addresses, topic.name)
    await eventually(lambda: _can_be_made(log, topic))

    async with asyncio.timeout(SOON):
        with pytest.raises(OffsetOutOfRange):
            await waiting
    with pytest.raises(OffsetOutOfRange, match=r"5 of .* not within 0 to 0"):
        await log.read(topic.name, 0, 5)
    await eventually(lambda: _appends(log, topic.name))
    assert values(await read_all(log, topic.name)) == [b"9"]


async def test_a_topic_made_anew_with_other_partitions_is_refused(kafka_engine: KafkaEngine, log: Log) -> None:
    topic = declared()
    await log.create_topics([topic], PARTITIONS)
    await asyncio.to_thread(admin.delete_topic, kafka_engine.addresses, topic.name)
    await asyncio.to_thread(admin.create_topic, kafka_engine.addresses, topic.name, PARTITIONS + 2, RIGHT)
    with pytest.raises(WrongTopicSettings, match=f"HEADRACE_PARTITIONS={PARTITIONS + 2}"):
        await log.create_topics([topic], PARTITIONS)


async def test_a_record_larger_than_the_broker_takes_leaves_the_log_usable(
    kafka_engine: KafkaEngine, log: Log
) -> None:
    topic = await new_topic(log)
    await log.append(topic, 0, numbered(0, 2))
    await asyncio.to_thread(admin.set_topic, kafka_engine.addresses, topic, "max.message.bytes", "500")
    large = [*numbered(2, 1), *(record for number in range(100) for record in numbered(number, 1))]
    with pytest.raises(RecordTooLarge, match=r"raise max\.message\.bytes"):
        await log.append(topic, 0, large)
    assert await log.append(topic, 0, numbered(2, 1)) == 2
    assert values(await read_all(log, topic)) == [b"0", b"1", b"2"]


async def _can_be_made(log: Log, topic: Topic) -> bool:
    """Whether the topic could be made: a deletion takes its time."""
    try:
        await log.create_topics([topic], PARTITIONS)
        return await log.bounds(topic.name, 0) == Bounds(0, 0)
    except LogUnavailable:
        return False


async def _appends(log: Log, topic: str) -> bool:
    try:
        return await log.append(topic, 0, numbered(9, 1)) == 0
    except LogUnavailable:
        return False
