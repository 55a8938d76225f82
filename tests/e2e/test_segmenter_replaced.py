"""`cdp.profile-events` is deleted and made again under a segmenter: the timeline has what the topic has lost."""

from collections.abc import AsyncIterator

import pytest

from headrace.contracts.topics import PROFILE_EVENTS
from tests.e2e.segmenter_rig import PARTITIONS, Rig, Running, eventually, segmenter_rig
from tests.faults.recreated_topic import recreate

BUYERS = {"event": {"name": "Order Completed"}}
PROFILES = [f"p{number}" for number in range(8)]


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def _is_in(running: Running, profile: str) -> bool:
    return await running.memberships(profile) == {"buyers"}


async def changes_are_published(rig: Rig) -> bool:
    return len(await rig.changes()) >= len(PROFILES)


async def everybody_is_in(running: Running) -> bool:
    return all([await running.memberships(profile) == {"buyers"} for profile in PROFILES])


async def test_rows_that_only_the_lost_topic_held_are_taken_from_the_timeline(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", BUYERS)
        for _ in range(20):
            await rig.event("p0")
        await eventually(lambda: _is_in(running, "p0"))
        for profile in PROFILES:
            await rig.event(profile, lost=True)  # they go with the old topic
        common = rig.settings.common
        await recreate(rig.log, common.log_url, PROFILE_EVENTS.name, common.partitions, prefix=common.topic_prefix)
        for q in range(PARTITIONS):
            await rig.publish(q, await rig.event(next(one for one in PROFILES if rig.q(one) == q), lost=True))
        await eventually(lambda: everybody_is_in(running))
        await eventually(lambda: changes_are_published(rig))
    assert sorted(await rig.changes()) == [(one, "buyers", "entered") for one in PROFILES]
