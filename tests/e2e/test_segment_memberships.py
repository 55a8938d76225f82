"""Current membership as a compacted topic: the last record of a key is what Redis says, whatever went wrong."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from headrace.contracts.headers import header
from headrace.contracts.instant import format_instant
from headrace.contracts.segment_membership import SegmentMembership
from headrace.contracts.topics import SEGMENT_MEMBERSHIPS
from headrace.log.port import Record
from headrace.log.topics import deployed, has_topic
from services.segmenter.followed import Connection
from services.segmenter.follower import FollowedChange
from services.segmenter.membership_topic import MembershipTopic
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, T0, Rig, Running, eventually, segmenter_rig

RECENT = {"event": {"name": "Order Completed", "within": "1h"}}
ONE = {"event": {"name": "Order Completed"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


class Failing:
    """A handler that fails the first times: what was appended before it comes again."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("not yet")

    def committed(self) -> None:
        pass


async def publishing(rig: Rig, running: Running) -> None:
    """On Kafka it is so by itself; the embedded log has no such topic, and gets one that is not compacted."""
    if has_topic(rig.settings.common.log_url, SEGMENT_MEMBERSHIPS):
        return
    topic = replace(SEGMENT_MEMBERSHIPS, kafka_only=False)
    await rig.log.create_topics([deployed(topic, rig.settings.common.topic_prefix)], PARTITIONS)
    name = rig.topic(SEGMENT_MEMBERSHIPS.name)
    followers = running.service.worker.followers
    followers.handlers = (*followers.handlers, MembershipTopic(running.service.log, name, running.service.metrics))


async def test_a_membership_is_a_record_and_its_end_a_tombstone(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await publishing(rig, running)
        await rig.live(running.api, "recent", RECENT)
        await rig.event("p1")
        await rig.event("p2")
        await eventually(lambda: published(rig, 2))
        (first,) = [record for record in await records(rig) if record.key == b"recent/p1"]
        found = msgspec.json.decode(first.value or b"", type=SegmentMembership)
        (held,) = (await running.api.get("/v1/profiles/p1/segments")).json()["items"]
        assert found == SegmentMembership(
            segment_id="recent",
            profile_id="p1",
            version=1,
            entered_at=format_instant(T0),
            entry_id=held["entry_id"],
            sequence=found.sequence,
        )
        assert header(first.headers, "ce_type") == b"io.headrace.segment.membership.v1"
        assert header(first.headers, "ce_subject") == b"p1"
        await rig.tick(HOUR)
        await rig.event("p1")
        await eventually(lambda: published(rig, 5))
        mine = [record for record in await records(rig) if record.key == b"recent/p1"]
        assert [record.value is None for record in mine] == [False, True, False]
        again = msgspec.json.decode(mine[2].value or b"", type=SegmentMembership)
        assert again.sequence > found.sequence
        assert all(record.partition == rig.q(_profile(record)) for record in await records(rig))


async def test_the_last_record_of_a_key_is_right_whatever_is_repeated(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await publishing(rig, running)
        followers = running.service.worker.followers
        followers.handlers = (*followers.handlers, Failing(times=3))
        followers.retry = 0.01
        await rig.live(running.api, "recent", RECENT)
        await rig.live(running.api, "buyers", ONE)
        for number in range(6):
            await rig.event(f"p{number}")
        await rig.tick(HOUR)
        await rig.event("p1")
        expected = {f"buyers/p{number}" for number in range(6)} | {"recent/p1"}

        async def agrees() -> bool:
            last = {(record.key or b"").decode(): record.value for record in await records(rig)}
            exits = {f"recent/p{number}" for number in range(6)} - {"recent/p1"}
            members = {key for key, value in last.items() if value is not None}
            return members == expected and last.keys() == expected | exits

        async def followed() -> bool:
            return bool(await rig.pool.fetchval("SELECT count(*) FROM membership_interval") == 6 + 6 + 1)

        await eventually(followed)
        await eventually(agrees)
        assert len(await records(rig)) > 6 + 6 + 6 + 1  # something was repeated
        series = {"topic": rig.topic(SEGMENT_MEMBERSHIPS.name)}
        count = running.service.metrics.registry.get_sample_value("headrace_records_published_total", series)
        assert count == len(await records(rig))


async def records(rig: Rig) -> list[Record]:
    """All of them, by partition. On Kafka, compaction has not come by yet."""
    found: list[Record] = []
    topic = rig.topic(SEGMENT_MEMBERSHIPS.name)
    for q in range(PARTITIONS):
        bounds = await rig.log.bounds(topic, q)
        offset = bounds.begin
        while offset < bounds.end:
            batch = await rig.log.read(topic, q, offset, max_records=1000)
            found += batch
            offset = batch[-1].offset + 1
    return found


async def published(rig: Rig, count: int) -> bool:
    return len(await records(rig)) == count


def _profile(record: Record) -> str:
    return (record.key or b"").decode().partition("/")[2]
