"""The follower on a real log and Postgres, fed with records of the test's own: what it applies, how often."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
import msgspec
import pytest

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.headers import store_output
from headrace.contracts.segment_change import ChangeProfile, SegmentChange
from headrace.contracts.topics import DEAD_LETTERS, MESSENGER_GROUP, SEGMENT_CHANGES, SEGMENTER_GROUP
from headrace.log.connect import connect_log
from headrace.log.port import Log, Member, NewRecord
from headrace.log.redis_streams import RedisStreamsLog
from headrace.log.topics import ensure_topics
from headrace.runtime.metrics import Metrics
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from services.segmenter.followed import Connection
from services.segmenter.follower import FollowedChange, FollowedTopics, Follower, Followers
from services.segmenter.main import MIGRATIONS, SCHEMA
from tests.e2e.segmenter_rig import eventually

Q = 1
HORIZON = 0


@dataclass
class Recorder:
    """A handler that keeps the numbers of what it gets, in memory and in the transaction."""

    seen: list[tuple[int, int]] = field(default_factory=list)
    commits: int = 0
    fail: bool = False

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        self.seen += [(change.epoch, change.seq) for change in changes]
        await connection.executemany(
            "INSERT INTO kept VALUES ($1, $2)", [(change.epoch, change.seq) for change in changes]
        )
        if self.fail:
            raise ConnectionError("after it has written")

    def committed(self) -> None:
        self.commits += 1


@dataclass
class Rig:
    log: Log
    pool: "asyncpg.Pool[asyncpg.Record]"
    prefix: str
    recorder: Recorder = field(default_factory=Recorder)
    metrics: Metrics = field(default_factory=lambda: Metrics("segmenter"))
    member: Member | None = None

    def topic(self, name: str) -> str:
        return self.prefix + name

    async def publish(self, *seqs: int, epoch: int = 1, value: bytes | None = None) -> int:
        """Append changes with these numbers; return the offset behind them."""
        topic = self.topic(SEGMENT_CHANGES.name)
        records = [
            NewRecord(
                b"p1",
                change(seq) if value is None else value,
                store_output(source="segmenter", epoch=epoch, seq=seq, position=""),
            )
            for seq in seqs
        ]
        return await self.log.append(topic, Q, records) + len(records)

    @asynccontextmanager
    async def following(self, check: float = 0.05) -> AsyncIterator[Follower]:
        topics = FollowedTopics(self.topic(SEGMENT_CHANGES.name), self.topic(DEAD_LETTERS.name))
        followers = Followers(
            self.log, self.pool, [self.recorder], self.metrics, topics, linger=0.0, check=check, retry=0.01
        )
        followers.member = self.member
        follower = followers.of(Q)
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def kept(self) -> list[tuple[int, int]]:
        return [(row["epoch"], row["seq"]) for row in await self.pool.fetch("SELECT * FROM kept ORDER BY 1, 2")]

    async def is_at(self, epoch: int, seq: int, next_offset: int) -> bool:
        row = await self.pool.fetchrow("SELECT epoch, seq, next_offset FROM follower WHERE partition = $1", Q)
        return row is not None and tuple(row) == (epoch, seq, next_offset)

    def counted(self, name: str) -> float:
        labels = {"topic": SEGMENT_CHANGES.name}
        if name != "records_duplicate":
            labels["partition"] = str(Q)
        return self.metrics.registry.get_sample_value(f"headrace_{name}_total", labels) or 0


def change(seq: int, **properties: object) -> bytes:
    return msgspec.json.encode(
        SegmentChange(
            event="Audience Entered",
            message_id=f"m{seq}",
            user_id=None,
            anonymous_id=None,
            timestamp="2026-09-21T13:33:20.000Z",
            properties={
                "segment_id": "vip",
                "segment_version": 1,
                "action": "entered",
                "reason": "event",
                "entry_id": f"e{seq}",
                "sequence": seq,
                **properties,
            },
            context={},
            profile=ChangeProfile("p1"),
        )
    )


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect_pool(database_url, schema=SCHEMA)
    await pool.execute("CREATE TABLE kept (epoch int, seq bigint)")
    log = await connect_log(log_url, rollback_horizon_ms=HORIZON)
    try:
        await ensure_topics(log, prefix=topic_prefix, partitions=2)
        yield Rig(log, pool, topic_prefix)
    finally:
        await log.close()
        await pool.close()


async def test_every_change_is_applied_once_whatever_comes_twice(rig: Rig) -> None:
    await rig.publish(1, 2, 3)
    await rig.publish(2, 3, 4)
    end = await rig.publish(4, epoch=0)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 4, end))
    assert await rig.kept() == rig.recorder.seen == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert rig.counted("records_duplicate") == 3
    assert rig.recorder.commits == 1


async def test_it_goes_on_where_it_was_when_it_starts_again(rig: Rig) -> None:
    end = await rig.publish(1, 2)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 2, end))
    end = await rig.publish(3)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 3, end))
    assert rig.recorder.seen == [(1, 1), (1, 2), (1, 3)]


async def test_it_is_woken_by_what_is_published(rig: Rig) -> None:
    """Long before it would look by itself."""
    async with rig.following(check=3_600) as follower:
        for seq in (1, 2, 3):
            end = await rig.publish(seq)
            follower.wake(end)
            await eventually(lambda seq=seq, end=end: rig.is_at(1, seq, end))  # type: ignore[misc]


async def test_what_a_handler_wrote_is_gone_when_the_batch_fails(rig: Rig) -> None:
    rig.recorder.fail = True
    end = await rig.publish(1, 2)
    async with rig.following():
        await eventually(lambda: _times(rig.recorder, 6))
        assert await rig.kept() == []
        assert rig.recorder.commits == 0
        rig.recorder.fail = False
        await eventually(lambda: rig.is_at(1, 2, end))
    assert await rig.kept() == [(1, 1), (1, 2)]


async def test_of_two_followers_one_is_fenced(rig: Rig) -> None:
    async with rig.following(), rig.following():
        for seq in range(1, 30):
            end = await rig.publish(seq)
        await eventually(lambda: rig.is_at(1, 29, end))
    assert await rig.kept() == [(1, seq) for seq in range(1, 30)]


async def test_behind_a_gap_it_waits_for_what_is_missing(rig: Rig) -> None:
    await rig.publish(1)
    end = await rig.publish(3, 4)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 1, end))
        assert rig.counted("sequence_gaps") == 2
        end = await rig.publish(2, 3, 4)
        await eventually(lambda: rig.is_at(1, 4, end))
    assert rig.recorder.seen == [(1, 1), (1, 2), (1, 3), (1, 4)]


async def test_a_rebuild_lets_it_go_past_a_gap(rig: Rig) -> None:
    end = await rig.publish(1, 3)
    async with rig.following() as follower:
        await eventually(lambda: rig.is_at(1, 1, end))
        follower.skip_gap()
        end = await rig.publish(5, 6)
        await eventually(lambda: rig.is_at(1, 6, end))
        end = await rig.publish(8)  # once only
        await eventually(lambda: rig.is_at(1, 6, end))
    assert rig.recorder.seen == [(1, 1), (1, 5), (1, 6)]


async def test_a_new_epoch_begins_anew(rig: Rig) -> None:
    await rig.publish(1, 2)
    await rig.publish(1, 2, epoch=2)
    end = await rig.publish(3, epoch=1)
    async with rig.following():
        await eventually(lambda: rig.is_at(2, 2, end))
    assert rig.recorder.seen == [(1, 1), (1, 2), (2, 1), (2, 2)]


UNREADABLE = {
    "no JSON": b"{",
    "nothing": b"",
    "no change": b'{"type":"track"}',
    "no instant": change(2).replace(b"2026-09", b"2026-19"),
    "no version": change(2, segment_version="1"),
    "no entry": change(2, entry_id=None),
    "an id that no store holds": change(2, segment_id="a\0b"),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_set_aside_and_passed_over(rig: Rig, value: bytes) -> None:
    await rig.publish(1)
    await rig.publish(2, value=value)
    end = await rig.publish(3)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 3, end))
    assert rig.recorder.seen == [(1, 1), (1, 3)]
    (letter,) = await rig.log.read(rig.topic(DEAD_LETTERS.name), Q, 0)
    assert msgspec.json.decode(letter.value or b"", type=DeadLetter).raw == value


async def test_a_record_without_numbers_is_set_aside(rig: Rig) -> None:
    await rig.log.append(rig.topic(SEGMENT_CHANGES.name), Q, [NewRecord(b"p1", change(1))])
    end = await rig.publish(1)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 1, end))
    assert rig.recorder.seen == [(1, 1)]
    assert len(await rig.log.read(rig.topic(DEAD_LETTERS.name), Q, 0)) == 1


async def test_on_another_log_it_goes_on_from_the_beginning_and_waits_for_what_is_missing(rig: Rig) -> None:
    await rig.pool.execute("INSERT INTO follower VALUES ($1, 1, 2, 1000)", Q)
    end = await rig.publish(1, 2, 4)  # what it has seen, then a hole: 3 was in the old log
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 2, end))
        assert rig.counted("sequence_gaps") == 1
        end = await rig.publish(3, 4)
        await eventually(lambda: rig.is_at(1, 4, end))
    assert rig.recorder.seen == [(1, 3), (1, 4)]


@pytest.mark.embedded
async def test_the_log_keeps_what_it_has_not_followed_yet(rig: Rig) -> None:
    """Only the embedded log trims by groups: what both have passed goes."""
    log = rig.log
    assert isinstance(log, RedisStreamsLog)
    topic = rig.topic(SEGMENT_CHANGES.name)
    messenger = await log.join(rig.prefix + MESSENGER_GROUP, [topic], 2)
    rig.member = await log.join(rig.prefix + SEGMENTER_GROUP, [topic], 2)
    end = await rig.publish(1, 2, 3)
    await messenger.commit(topic, Q, end)
    await log.trim()
    assert (await log.bounds(topic, Q)).begin == 0

    async def trimmed() -> bool:
        await log.trim()
        return (await log.bounds(topic, Q)).begin == end

    async with rig.following():
        await eventually(trimmed)
    assert await rig.kept() == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.embedded
async def test_behind_what_was_trimmed_it_goes_on(rig: Rig) -> None:
    log = rig.log
    assert isinstance(log, RedisStreamsLog)
    topic = rig.topic(SEGMENT_CHANGES.name)
    first = await rig.publish(1)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 1, first))
    end = await rig.publish(2, 3)
    for group in (MESSENGER_GROUP, SEGMENTER_GROUP):
        await (await log.join(rig.prefix + group, [topic], 2)).commit(topic, Q, end)
    await log.trim()
    end = await rig.publish(4, 5)
    async with rig.following():
        await eventually(lambda: rig.is_at(1, 5, end))
    assert rig.recorder.seen == [(1, 1), (1, 4), (1, 5)]


async def _times(recorder: Recorder, count: int) -> bool:
    return len(recorder.seen) >= count
