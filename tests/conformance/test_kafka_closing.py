"""Whoever leaves or closes leaves nothing behind: no task, no connection, no member that holds partitions."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from headrace.log.port import Log, LogUnavailable
from tests.conformance.kafka_engine import KafkaEngine, OwnKafkaEngine
from tests.conformance.log_engine import HOUR_MS, PARTITIONS, fresh, new_topic, numbered, opened
from tests.conformance.log_groups import has_all

pytestmark = pytest.mark.kafka

SOON = 10.0
CLOSES = 8.0
STEPS = 10


async def another(engine: KafkaEngine) -> Log:
    return await engine.open(horizon_ms=HOUR_MS, timeout=1.0, max_record_bytes=1_000_000)


async def test_a_leave_that_is_cancelled_gives_the_partitions_up_all_the_same(kafka_engine: KafkaEngine) -> None:
    group = fresh("group")
    async with opened(kafka_engine) as log:
        topic = await new_topic(log)
        before = asyncio.all_tasks()
        for step in range(STEPS):
            other = await another(kafka_engine)
            member = await other.join(group, [topic], PARTITIONS)
            await has_all(member, SOON)
            await member.commit(topic, 0, step)
            await _cut_short(member.leave(), step)
            await other.close()
            assert asyncio.all_tasks() - before == set()


async def test_closing_over_a_stalled_broker_ends_soon_and_leaves_nothing(
    own_kafka_engine: OwnKafkaEngine,
) -> None:
    before = asyncio.all_tasks()
    log = await another(own_kafka_engine)
    topic = await new_topic(log)
    await has_all(await log.join(fresh("group"), [topic], PARTITIONS), SOON)
    await log.append(topic, 0, numbered(0, 3))
    waiting = asyncio.create_task(log.read(topic, 0, 3, wait_ms=60_000))
    await log.read(topic, 0, 0)
    own_kafka_engine.pause()
    try:
        calls: list[asyncio.Future[Any]] = [waiting]
        for partition in range(PARTITIONS):
            calls += [asyncio.create_task(log.read(topic, partition, 0)) for _ in range(3)]
            calls += [asyncio.create_task(log.append(topic, partition, numbered(9, 1)))]
        await asyncio.sleep(0)
        began = time.monotonic()
        await log.close()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - began < CLOSES
        assert {type(error) for error in found} == {LogUnavailable}
        assert asyncio.all_tasks() - before == set()
    finally:
        own_kafka_engine.resume()


@pytest.mark.parametrize("step", range(STEPS))
async def test_what_is_asked_while_the_log_closes_is_refused(kafka_engine: KafkaEngine, step: int) -> None:
    async with opened(kafka_engine) as log:
        topic = await new_topic(log)
        before = asyncio.all_tasks()
        other = await another(kafka_engine)
        calls: list[Coroutine[Any, Any, object]] = [
            other.join(fresh("group"), [topic], PARTITIONS),
            other.read(topic, 0, 0, wait_ms=60_000),
            other.read(topic, 1, 0, wait_ms=60_000),
            other.append(topic, 0, numbered(0, 1)),
        ]
        asking = [asyncio.ensure_future(call) for call in calls]
        for _ in range(step):
            await asyncio.sleep(0)
        await other.close()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(error) for error in found} == {LogUnavailable}
        assert asyncio.all_tasks() - before == set()


async def _cut_short(leaving: Coroutine[Any, Any, None], step: int) -> None:
    """Cancel it after so many turns of the loop."""
    task = asyncio.ensure_future(leaving)
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
