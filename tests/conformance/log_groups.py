"""The log's suite: consumer groups."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from headrace.log.port import Log
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

ALL = frozenset(range(PARTITIONS))
NONE: frozenset[int] = frozenset()
SOON = 5.0
TAKEOVER = 15.0


class GroupTests:
    """`settles`: seconds in which members that all run have agreed; `unrenewed`: seconds after which one that
    gives no sign of life has certainly been replaced, as `LogEngine.open` sets it up."""

    settles: ClassVar[float] = 15.0
    unrenewed: ClassVar[float] = 15.0

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
            async with asyncio.timeout(SOON):
                await eventually(lambda: NONE.union(*(member.assigned() for member in members)) == ALL)
            assert sum(len(member.assigned()) for member in members) == PARTITIONS

    async def test_members_share_the_partitions(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with opened(engine) as other:
            members = [await opener.join(group, [topic], PARTITIONS) for opener in (log, other)]
            async with asyncio.timeout(self.settles):
                for member in members:
                    await member.changed(NONE)

    async def test_leaving_hands_over_at_once(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        first = await log.join(group, [topic], PARTITIONS)
        async with asyncio.timeout(SOON):
            await first.changed(NONE)
        async with opened(engine) as other:
            standby = await other.join(group, [topic], PARTITIONS)
            for _ in range(2):
                left = time.monotonic()
                await first.leave()
                assert first.assigned() == NONE
                async with asyncio.timeout(SOON):
                    while standby.assigned() != ALL:
                        await standby.changed(standby.assigned())
                assert time.monotonic() - left < 1.0
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
            async with asyncio.timeout(SOON):
                await closing.changed(NONE)
            standby = await log.join(group, [topic], PARTITIONS)
            await other.close()
            async with asyncio.timeout(SOON):
                assert await standby.changed(NONE) == ALL
            assert closing.assigned() == NONE
            await other.close()

    async def test_a_killed_member_is_replaced(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with _member_process(engine.url, group, topic) as process:
            await _reports(process, PARTITIONS)
            standby = await log.join(group, [topic], PARTITIONS)
            process.kill()
            async with asyncio.timeout(TAKEOVER):
                assert await standby.changed(NONE) == ALL

    async def test_a_paused_member_finds_out_that_it_was_replaced(self, engine: LogEngine, log: Log) -> None:
        group, topic = fresh("group"), await new_topic(log)
        async with _member_process(engine.url, group, topic) as process:
            await _reports(process, PARTITIONS)
            standby = await log.join(group, [topic], PARTITIONS)
            process.send_signal(signal.SIGSTOP)
            async with asyncio.timeout(TAKEOVER):
                assert await standby.changed(NONE) == ALL
            process.send_signal(signal.SIGCONT)
            await _reports(process, 0)
            assert standby.assigned() == ALL

    async def test_an_idle_member_keeps_its_partitions(self, log: Log) -> None:
        member = await log.join(fresh("group"), [await new_topic(log)], PARTITIONS)
        async with asyncio.timeout(SOON):
            await member.changed(NONE)
        changes = asyncio.create_task(member.changed(ALL))
        done, _ = await asyncio.wait([changes], timeout=self.unrenewed)
        assert not done
        await member.leave()
        await changes


@asynccontextmanager
async def _member_process(url: str, group: str, topic: str) -> AsyncIterator[Process]:
    """A process that joins and prints how many partitions it has, on every change."""
    command = (sys.executable, "-m", "tests.conformance.member_process", url, group, topic, str(PARTITIONS))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _reports(process: Process, count: int) -> None:
    """Wait until the process has said that it has `count` partitions."""
    assert process.stdout is not None
    async with asyncio.timeout(TAKEOVER):
        while (line := await process.stdout.readline()) != b"%d\n" % count:
            assert line, "the member's process ended"
