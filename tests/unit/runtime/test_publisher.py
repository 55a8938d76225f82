"""The relay publishes every committed output once and in order, whatever fails on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from redis import asyncio as redis
from structlog.testing import capture_logs

from headrace.contracts.topics import Topic
from headrace.log.port import MAX_BATCH_BYTES, Log, LogFull, LogUnavailable, NewRecord
from headrace.log.redis_streams import RedisStreamsLog, keys
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from headrace.runtime.publisher import NotHeld, Published, Relay, RepublishInterrupted, last_published
from tests.unit.runtime.fakes import MemoryOutbox, output

TOPIC = "outputs"
SOON = 5.0


class FlakyLog:
    """A log whose appends fail as told: before they land, or after (the reply is lost)."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.before: list[Exception] = []
        self.after: list[BaseException] = []
        self.bounds = log.bounds
        self.read = log.read

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        if self.before:
            raise self.before.pop()
        offset = await self._log.append(topic, partition, records)
        if self.after:
            raise self.after.pop()
        return offset


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[Log]:
    log = await RedisStreamsLog.connect(log_url, rollback_horizon_ms=3_600_000, housekeeping_seconds=None)
    await log.create_topics([Topic(TOPIC, "any", "A test's outputs.")], 1)
    yield log
    await log.close()


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


def relay(log: Log | FlakyLog, outbox: MemoryOutbox, *, batch: int = 500, poll: float = 30.0) -> Relay:
    return Relay(
        log,  # type: ignore[arg-type]
        outbox,
        topic=TOPIC,
        partition=0,
        metrics=Metrics("test"),
        batch=batch,
        poll=poll,
    )


async def published(log: Log) -> list[int]:
    end = (await log.bounds(TOPIC, 0)).end
    return [int(record.value or b"0") for record in await log.read(TOPIC, 0, 0, max_records=end or 1)]


async def until(one: Relay, seq: int) -> None:
    """Wait until everything up to `seq` is published."""
    async with asyncio.timeout(SOON):
        while one.published is None or one.published.seq < seq:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(task: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=SOON)
        assert done, "the relay lost a cancellation"


async def test_outputs_are_published_in_order_across_batches(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(7)
    sender = relay(log, outbox, batch=3)
    assert await sender.drain() == 7
    assert await sender.drain() == 0
    outbox.add(2)
    assert await sender.drain() == 2
    assert await published(log) == list(range(1, 10))
    assert outbox.stored == Published(1, 9, "row-9", 9)


@pytest.mark.parametrize("error", [LogUnavailable("lost reply"), asyncio.CancelledError()])
async def test_a_lost_reply_publishes_nothing_twice(log: Log, outbox: MemoryOutbox, error: BaseException) -> None:
    flaky = FlakyLog(log)
    sender = relay(flaky, outbox, batch=2)
    outbox.add(5)
    flaky.after = [error]
    with pytest.raises(type(error)):
        await sender.drain()
    assert outbox.stored.seq == 0, "the store does not know that it landed"
    assert await sender.drain() == 3
    assert await published(log) == [1, 2, 3, 4, 5]


async def test_a_refused_append_is_repeated(log: Log, outbox: MemoryOutbox) -> None:
    flaky = FlakyLog(log)
    sender = relay(flaky, outbox)
    outbox.add(2)
    flaky.before = [LogFull("full"), LogUnavailable("away")]
    for error in (LogUnavailable, LogFull):
        with pytest.raises(error):
            await sender.drain()
    assert await sender.drain() == 2
    assert await published(log) == [1, 2]


async def test_a_lost_mark_publishes_nothing_twice(log: Log, outbox: MemoryOutbox) -> None:
    sender = relay(log, outbox)
    outbox.add(3)
    outbox.fail_marks = 1
    with pytest.raises(ConnectionError):
        await sender.drain()
    outbox.add(1)
    assert await sender.drain() == 1
    outbox.stored = Published(1, 0, "", 0)
    assert await relay(log, outbox).drain() == 0, "another process finds in the log what the store forgot"
    assert await published(log) == [1, 2, 3, 4]
    assert outbox.stored == Published(1, 4, "row-4", 4)


async def test_a_run_looks_again_what_another_owner_published_meanwhile(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(2)
    sender = relay(log, outbox)
    await sender.drain()
    outbox.add(2)
    await relay(log, outbox).drain()
    outbox.add(1)
    task = asyncio.create_task(sender.run())
    async with running(task), asyncio.timeout(SOON):
        await log.read(TOPIC, 0, 4, wait_ms=60_000)
    assert await published(log) == [1, 2, 3, 4, 5]


async def test_a_new_owner_goes_on_behind_the_highest_number_whoever_sent_it(
    log: Log, outbox: MemoryOutbox
) -> None:
    outbox.add(6)
    other = MemoryOutbox()
    other.add(4)
    await relay(log, other).drain()
    assert await relay(log, outbox).drain() == 2
    assert await published(log) == [1, 2, 3, 4, 5, 6]


async def test_numbers_of_other_epochs_and_records_without_one_do_not_count(log: Log) -> None:
    foreign = [output(50, 1).record, output(3, 2).record, NewRecord(b"tick", b"0"), output(70, 3).record]
    await log.append(TOPIC, 0, foreign)
    found = await last_published(log, TOPIC, 0, Published(2, 1, "row-1", 0))
    assert found == Published(2, 3, "row-3", 4)


async def test_what_is_stored_counts_when_the_log_has_less(log: Log) -> None:
    """The log was emptied, or trimmed up to its end."""
    found = await last_published(log, TOPIC, 0, Published(2, 9, "row-9", 1000))
    assert found == Published(2, 9, "row-9", 0)


@pytest.mark.parametrize(("batch", "sent"), [(2, [1, 2]), (5, [])])
async def test_a_hole_in_the_outbox_stops_instead_of_being_skipped(
    log: Log, outbox: MemoryOutbox, batch: int, sent: list[int]
) -> None:
    outbox.add(5)
    del outbox.rows[2]
    sender = relay(log, outbox, batch=batch)
    with pytest.raises(PartitionHalted, match="has no 3"):
        await sender.drain()
    assert await published(log) == sent


async def test_rows_that_are_too_much_for_one_append_go_in_several(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(9)
    padding = b" " * (MAX_BATCH_BYTES // 4 - 1000)
    for index, row in enumerate(outbox.rows):
        outbox.rows[index] = replace(
            row, record=NewRecord(b"key", b"%d%b" % (row.seq, padding), row.record.headers)
        )
    assert await relay(log, outbox).drain() == 9
    assert await published(log) == list(range(1, 10))


async def test_a_wake_publishes_at_once(log: Log, outbox: MemoryOutbox) -> None:
    sender = relay(log, outbox)
    task = asyncio.create_task(sender.run())
    async with running(task), asyncio.timeout(SOON):
        await outbox.asked.wait()
        outbox.add(1)
        sender.wake()
        assert [record.value for record in await log.read(TOPIC, 0, 0, wait_ms=60_000)] == [b"1"]
        assert not task.done()


async def test_the_relay_looks_by_itself_too(log: Log, outbox: MemoryOutbox) -> None:
    """Another process may have committed."""
    task = asyncio.create_task(relay(log, outbox, poll=0.01).run())
    async with running(task), asyncio.timeout(SOON):
        await outbox.asked.wait()
        outbox.add(1)
        assert len(await log.read(TOPIC, 0, 0, wait_ms=60_000)) == 1


async def test_a_cancellation_that_meets_a_wake_is_not_lost(log: Log, outbox: MemoryOutbox) -> None:
    sender = relay(log, outbox)
    task = asyncio.create_task(sender.run())
    async with asyncio.timeout(SOON):
        await outbox.asked.wait()
        await sender.drain()
    for _ in range(5):
        await asyncio.sleep(0)
    async with running(task):
        sender.wake()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=SOON)
        assert done, "the relay lost a cancellation"


async def test_a_follower_comes_right_behind_its_row(log: Log, outbox: MemoryOutbox) -> None:
    sender = relay(log, outbox)
    outbox.add(2)
    sender.follow(1, NewRecord(b"tick", b"100"))
    sender.follow(2, NewRecord(b"tick", b"200"))
    task = asyncio.create_task(sender.run())
    async with running(task), asyncio.timeout(SOON):
        await until(sender, 2)
        await log.read(TOPIC, 0, 2, wait_ms=60_000)
        assert await published(log) == [1, 2, 200]
        outbox.add(2)
        sender.follow(3, NewRecord(b"tick", b"300"))
        assert len(await log.read(TOPIC, 0, 3, wait_ms=60_000)) == 2
        sender.follow(4, NewRecord(b"tick", b"400"))
        await log.read(TOPIC, 0, 5, wait_ms=60_000)
    assert await published(log) == [1, 2, 200, 3, 4, 400], "a tick that a row has overtaken is dropped"


async def test_a_follower_of_rows_that_another_process_committed_brings_them(
    log: Log, outbox: MemoryOutbox
) -> None:
    sender = relay(log, outbox)
    task = asyncio.create_task(sender.run())
    async with running(task), asyncio.timeout(SOON):
        await outbox.asked.wait()
        outbox.add(2)
        sender.follow(2, NewRecord(b"tick", b"200"))
        for offset in range(3):
            await log.read(TOPIC, 0, offset, wait_ms=60_000)
    assert await published(log) == [1, 2, 200]


async def test_followers_alone_do_not_ask_the_store(log: Log, outbox: MemoryOutbox) -> None:
    """Time passes four times a second on every partition: an idle deployment must not pay for it."""
    sender = relay(log, outbox)
    task = asyncio.create_task(sender.run())
    async with running(task), asyncio.timeout(SOON):
        await outbox.asked.wait()
        outbox.asked.clear()
        for number in range(3):
            sender.follow(0, NewRecord(b"tick", b"%d" % number))
            await log.read(TOPIC, 0, number, wait_ms=60_000)
    assert not outbox.asked.is_set()


async def test_what_was_published_is_published_again_as_it_was(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(5)
    one = relay(log, outbox, batch=2)
    async with running(asyncio.create_task(one.run())):
        assert await asyncio.wait_for(one.republish(3), SOON) == 3
        outbox.add(1)
        one.wake()
        await until(one, 6)
    assert await published(log) == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    before, _, _, after = await log.read(TOPIC, 0, 2, max_records=4)
    assert (before.key, before.value, before.headers) == (after.key, after.value, after.headers)
    assert outbox.stored.seq == 6


async def test_nothing_is_published_again_that_was_not_published(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(2)
    one = relay(log, outbox)
    async with running(asyncio.create_task(one.run())):
        assert await asyncio.wait_for(one.republish(3), SOON) == 0
    assert await published(log) == [1, 2]


async def test_what_the_outbox_holds_no_more_is_said(log: Log, outbox: MemoryOutbox) -> None:
    outbox.add(4)
    one = relay(log, outbox)
    async with running(asyncio.create_task(one.run())):
        await until(one, 4)
        del outbox.rows[:2]
        with pytest.raises(NotHeld, match="only 3 to 4"):
            await asyncio.wait_for(one.republish(2), SOON)
        del outbox.rows[:]
        with pytest.raises(NotHeld, match="nothing of what was published"):
            await asyncio.wait_for(one.republish(2), SOON)
    assert await published(log) == [1, 2, 3, 4]


async def test_a_republish_that_fails_is_said_and_the_next_run_goes_on_at_the_end(
    log: Log, outbox: MemoryOutbox
) -> None:
    outbox.add(3)
    flaky = FlakyLog(log)
    one = relay(flaky, outbox)
    task = asyncio.create_task(one.run())
    async with running(task):
        await until(one, 3)
        flaky.before = [LogUnavailable("gone")]
        with pytest.raises(RepublishInterrupted):
            await asyncio.wait_for(one.republish(1), SOON)
        with pytest.raises(LogUnavailable):
            await asyncio.wait_for(task, SOON)
        with pytest.raises(RepublishInterrupted):
            await asyncio.wait_for(one.republish(1), SOON)
    outbox.add(1)
    assert await relay(log, outbox).drain() == 1
    assert await published(log) == [1, 2, 3, 4]


async def test_a_topic_made_anew_is_told_of_and_publishing_goes_on(
    log: Log, log_url: str, outbox: MemoryOutbox
) -> None:
    outbox.add(3)
    one = relay(log, outbox)
    await one.drain()
    async with redis.Redis.from_url(log_url) as client:
        await client.delete(keys.records(TOPIC, 0), keys.meta(TOPIC, 0))
    await log.create_topics([Topic(TOPIC, "any", "A test's outputs.")], 1)
    outbox.add(1)
    with capture_logs() as said:
        await one.drain()
        outbox.add(1)
        await one.drain()
    assert [(entry["event"], entry["offset"]) for entry in said] == [("log_replaced", 3)]
    assert await published(log) == [4, 5]
