"""Offsets: what lag tools see of a group, and where partitions end after a moment without leaders."""

import asyncio

import pytest

from headrace.log.kafka.log import KafkaLog
from tests.conformance.kafka_engine import KafkaEngine
from tests.conformance.log_engine import HOUR_MS, PARTITIONS, eventually, fresh, new_topic, numbered, opened
from tests.conformance.log_groups import has_all
from tests.kafka import admin

pytestmark = pytest.mark.kafka

SOON = 10.0


async def test_a_members_offset_never_lowers_what_another_has_stored(kafka_engine: KafkaEngine) -> None:
    group = fresh("group")
    async with opened(kafka_engine) as log:
        topic = await new_topic(log)
        await log.append(topic, 0, numbered(0, 20))

        async def stored() -> int:
            return await asyncio.to_thread(admin.committed, kafka_engine.addresses, group, topic, 0)

        for committed, found in ((10, 10), (3, 10), (12, 12)):
            async with opened(kafka_engine, horizon_ms=HOUR_MS) as other:
                member = await other.join(group, [topic], PARTITIONS)
                await has_all(member, SOON)
                await member.commit(topic, 0, committed)
            assert await stored() == found  # the last ones are sent on the way out

        staying = await log.join(group, [topic], PARTITIONS)
        await has_all(staying, SOON)
        await staying.commit(topic, 0, 17)

        async def is_stored() -> bool:
            return await stored() == 17

        await eventually(is_stored)


async def test_a_moment_without_a_leader_makes_no_topic_unknown(kafka_engine: KafkaEngine) -> None:
    async with opened(kafka_engine) as log:
        missed, other = await new_topic(log), await new_topic(log)
        await log.append(other, 0, numbered(0, 3))
        assert (await log.bounds(missed, 0)).end == 0
        # as aiokafka does when it looks an offset up and knows no leader: it asks for this topic only from now on
        assert isinstance(log, KafkaLog)
        consumer = await log._offsets._consumer.get()
        consumer._client.add_topic(missed)
        assert await consumer._client.force_metadata_update()
        log._offsets.known.clear()  # as after every look that failed

        assert (await log.bounds(other, 0)).end == 3
