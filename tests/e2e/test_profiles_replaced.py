"""`cdp.events` is deleted and made again: what is answered afterwards is neither skipped nor counted twice,
however much the new topic holds by the time somebody looks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.topics import EVENTS
from headrace.runtime.metrics import Metrics
from tests.e2e.profiles_rig import Rig, event, eventually, profiles_rig
from tests.faults.recreated_topic import recreate

BEFORE = 3


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as made:
        yield made


async def replaced(rig: Rig) -> None:
    """The topic is made anew, under the same name."""
    common = rig.settings.common
    await recreate(rig.log, common.log_url, EVENTS.name, common.partitions, prefix=common.topic_prefix)


async def some_processed(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(*[event(user=f"before-{number}", message_id=f"b{number}") for number in range(BEFORE)], q=0)
        await rig.processed()


async def halted(metrics: Metrics) -> bool:
    return metrics.registry.get_sample_value("headrace_partition_halted", {"partition": "0"}) == 1


async def users(rig: Rig) -> list[str]:
    return sorted(profile["user_id"] for profile in await rig.profiles())


async def test_a_new_log_that_is_as_long_as_the_old_one_is_not_read_on_in_its_middle(rig: Rig) -> None:
    await some_processed(rig)
    await replaced(rig)
    await asyncio.sleep(0.01)  # the clock of logs counts milliseconds
    after = [event(user=f"after-{number}", message_id=f"a{number}") for number in range(2 * BEFORE)]
    await rig.send(*after, q=0)
    metrics = Metrics("profiles")
    async with rig.worker(metrics=metrics):
        await eventually(lambda: halted(metrics))
        assert await users(rig) == [f"before-{number}" for number in range(BEFORE)]
        await rig.pool.execute("UPDATE input SET next_offset = 0 WHERE topic = $1", rig.topic(EVENTS))
        await rig.processed()
    assert await users(rig) == sorted(
        [one.user_id or "" for one in after] + [f"before-{n}" for n in range(BEFORE)]
    )
    assert len(await rig.rows()) == 3 * BEFORE


async def test_a_shorter_log_stops_the_partition_and_reading_it_anew_counts_nothing_twice(rig: Rig) -> None:
    await some_processed(rig)
    await replaced(rig)
    await rig.send(event(user="before-0", message_id="b0"), q=0)  # its client never heard the answer
    metrics = Metrics("profiles")
    async with rig.worker(metrics=metrics):
        await eventually(lambda: halted(metrics))
        await rig.pool.execute("UPDATE input SET next_offset = 0 WHERE topic = $1", rig.topic(EVENTS))
        await rig.processed()
    assert len(await rig.rows()) == BEFORE


async def test_a_log_that_is_read_to_its_end_and_begun_again_is_the_same_log(rig: Rig) -> None:
    await some_processed(rig)
    metrics = Metrics("profiles")
    async with rig.worker(metrics=metrics):
        await rig.send(event(user="later", message_id="l"), q=0)
        await rig.processed()
        assert not await halted(metrics)
    assert "later" in await users(rig)
