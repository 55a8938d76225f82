"""One timer for all who look now and then."""

import asyncio

from headrace.runtime.rhythm import Rhythm


async def test_all_who_wait_wake_in_one_turn_whenever_they_came() -> None:
    rhythm, turns = Rhythm(0.05), list[int]()
    turn = 0

    async def look() -> None:
        await rhythm.next()
        turns.append(turn)

    waiting = [asyncio.create_task(look())]
    while len(turns) < 10:
        turn += 1
        if len(waiting) < 10:
            waiting.append(asyncio.create_task(look()))
        await asyncio.sleep(0)
    assert len(set(turns)) == 1


async def test_it_goes_on_beating_after_nobody_listened() -> None:
    rhythm = Rhythm(0.01)
    async with asyncio.timeout(10):
        for _ in range(3):
            await rhythm.next()


async def test_who_gives_up_takes_nobody_along() -> None:
    rhythm = Rhythm(0.05)
    given_up, stays = asyncio.create_task(rhythm.next()), asyncio.create_task(rhythm.next())
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(10):
        await stays
