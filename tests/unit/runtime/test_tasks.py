"""Loops side by side end together; what must not be cut is not cut."""

import asyncio

import pytest
from structlog.testing import capture_logs

from headrace.runtime import tasks
from headrace.runtime.tasks import finish, look_again, run_together


async def test_finished_work_is_not_cut_by_a_cancellation() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def transaction() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(finish(transaction()))
    await begun.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done(), "the caller waits for the transaction"
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_finish_returns_and_raises_what_the_work_does() -> None:
    async def seven() -> int:
        return 7

    async def fails() -> int:
        raise LookupError("mine")

    assert await finish(seven()) == 7
    with pytest.raises(LookupError, match="mine"):
        await finish(fails())


async def test_the_first_failure_ends_the_others_and_is_raised_as_it_is() -> None:
    ended = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await run_together(for_ever(), fails())
    assert ended.is_set()


async def test_a_loop_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_SECONDS", 0.001)
    lost = []

    async def deaf_at_first() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(1)
                if len(lost) > 1:
                    raise

    async def ends() -> None:
        return

    await run_together(deaf_at_first(), ends())
    assert len(lost) == 2


async def test_who_is_cancelled_again_while_ending_others_leaves_none_behind() -> None:
    going_on, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def ends_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            going_on.set()
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    continue
            ended.set()

    caller = asyncio.create_task(run_together(ends_slowly()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await going_on.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_finished_work_is_not_left_alone_by_a_second_cancellation() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def transaction() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(finish(transaction()))
    await begun.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_a_look_that_fails_is_told_and_looked_again() -> None:
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise asyncio.CancelledError
        raise OSError

    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        await look_again(look, 0, "not_looked_at")
    assert [(one["event"], one["error"]) for one in said] == [("not_looked_at", "OSError")] * 2
