"""The log's suite: consumer groups."""

import asyncio
import time
from typing import ClassVar

from headrace.log.port import Log, Member
from tests.conformance.log_engine import (
    PARTITIONS,
    LogEngine,
    eventually,
    fresh,
    new_topic,
    numbered,
    opened,
    values,
)
from tests.conformance.other_member import other_member

ALL = frozenset(range(PARTITIONS))
NONE: frozenset[int] = frozenset()
SOON = 5.0
TAKEOVER = 15.0


class GroupTests:
    """`settles`: seconds in which members that all run have agreed; `handover`: seconds in which what is given up
    has a new owner; `unrenewed`: seconds after which one that gives no sign of life has certainly been replaced,
    as `LogEngine.open` sets it up. Where members share, an assignment may pass through empty and through parts."""

    settles: ClassVar[float] = 15.0
    handover: ClassVar[float] = 15.0
    unrenewed: ClassVar[float] = 15.0
    shares: ClassVar[bool] = True
    """Whether members that run side by side share the partitions; else one has them all and keeps them."""

    async def test_the_only_member_has_every_partition(self, log: Log) -> None:
        member = await log.join(fresh("group"), [await new_topic(log)], PARTITIONS)
        async with asyncio.timeout(SOON):
            assert await member.changed(NONE) == ALL
        assert member.assigned() == ALL

    async def test_two_groups_are_independent(self, log: Log) -> None:
        topic = await new_topic(log)
        members = [await log.join(fresh("group"), [topic], PARTITIONS) for _ in range(2)]
        async with asyncio.timeout(SOON):
            assert [await member.changed(NONE) for member in members] == [ALL, ALL]
        await log.append(topic, 0, numbered(0, 3))
        await members[0].commit(topic, 0, 3)
        assert values(await log.read(topic, 0, 0)) == [b"0", b"1", b"2"]

    async def test_no_partition_has_two_members(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with opened(engine) as other:
            members = [await opener.join(group, [topic], PARTITIONS) for opener in (log, other, log)]

            def all_assigned() -> bool:
                taken = [member.assigned() for member in members]
                union = NONE.union(*taken)
                assert sum(map(len, taken)) == len(union)
                return union == ALL

            await eventually(all_assigned, self.settles)

    async def test_members_share_the_partitions(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with opened(engine) as other:
            members = [await opener.join(group, [topic], PARTITIONS) for opener in (log, other)]
            await eventually(lambda: all(member.assigned() for member in members), self.settles)
            assert members[0].assigned() ^ members[1].assigned() == ALL

    async def test_leaving_hands_over_at_once(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        first = await log.join(group, [topic], PARTITIONS)
        await has_all(first, SOON)
        async with opened(engine) as other:
            standby = await other.join(group, [topic], PARTITIONS)
            for _ in range(2):
                left = time.monotonic()
                await first.leave()
                assert first.assigned() == NONE
                await has_all(standby, SOON)
                assert time.monotonic() - left < self.handover
                first, standby = standby, await log.join(group, [topic], PARTITIONS)

    async def test_leaving_wakes_who_waits_for_a_change_and_is_idempotent(self, log: Log) -> None:
        member = await log.join(fresh("group"), [await new_topic(log)], PARTITIONS)
        async with asyncio.timeout(SOON):
            await member.changed(NONE)
            waiting = asyncio.create_task(member.changed(ALL))
            await member.leave()
            assert await waiting == NONE
            await member.leave()

    async def test_closing_the_log_leaves_its_groups_and_is_idempotent(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with opened(engine) as other:
            closing = await other.join(group, [topic], PARTITIONS)
            await has_all(closing, SOON)
            standby = await log.join(group, [topic], PARTITIONS)
            await other.close()
            await has_all(standby, SOON)
            assert closing.assigned() == NONE
            await other.close()

    async def test_a_killed_member_is_replaced(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with other_member(engine.url, group, topic) as other:
            await eventually(lambda: other.assigned() == ALL, TAKEOVER)
            survivor = await log.join(group, [topic], PARTITIONS)
            other.process.kill()
            await has_all(survivor, TAKEOVER)

    async def test_a_paused_member_finds_out_that_it_was_replaced(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with other_member(engine.url, group, topic) as other:
            await eventually(lambda: other.assigned() == ALL, TAKEOVER)
            survivor = await log.join(group, [topic], PARTITIONS)
            other.pause()
            await has_all(survivor, TAKEOVER)
            told = len(other.reports)
            other.resume()
            await eventually(lambda: NONE in other.reports[told:], TAKEOVER)
            await eventually(lambda: other.assigned() ^ survivor.assigned() == ALL, TAKEOVER)
            assert self.shares or survivor.assigned() == ALL

    async def test_an_idle_member_keeps_its_partitions(self, log: Log) -> None:
        member = await log.join(fresh("group"), [await new_topic(log)], PARTITIONS)
        await has_all(member, SOON)
        changes = asyncio.create_task(member.changed(ALL))
        done, _ = await asyncio.wait([changes], timeout=self.unrenewed)
        assert not done
        await member.leave()
        await changes


async def has_all(member: Member, seconds: float) -> None:
    """Wait until the member has every partition."""
    async with asyncio.timeout(seconds):
        while (known := member.assigned()) != ALL:
            await member.changed(known)
