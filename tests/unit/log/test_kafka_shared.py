"""A client is opened once for all who need it, and never left open."""

import asyncio

import pytest

from headrace.log.kafka.shared import Shared
from headrace.log.port import LogUnavailable


class Clients:
    def __init__(self) -> None:
        self.opened = 0
        self.closed: list[int] = []
        self.ready = asyncio.Event()
        self.broken = False

    async def open(self) -> int:
        self.opened += 1
        await self.ready.wait()
        if self.broken:
            raise ConnectionError("refused")
        return self.opened

    async def close(self, client: int) -> None:
        self.closed.append(client)


async def test_all_who_need_it_get_the_same_one() -> None:
    clients = Clients()
    shared = Shared(clients.open, clients.close)
    waiting = [asyncio.create_task(shared.get()) for _ in range(5)]
    await asyncio.sleep(0)
    clients.ready.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert await shared.get() == 1
    await shared.close()
    assert clients.closed == [1]


async def test_who_gives_up_does_not_stop_the_others() -> None:
    clients = Clients()
    shared = Shared(clients.open, clients.close)
    impatient, patient = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    clients.ready.set()
    assert await patient == 1
    await shared.close()


async def test_a_failed_start_is_told_to_all_and_tried_again_by_the_next() -> None:
    clients = Clients()
    clients.broken = True
    clients.ready.set()
    shared = Shared(clients.open, clients.close)
    found = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [type(error) for error in found] == [ConnectionError] * 2
    clients.broken = False
    assert await shared.get() == 2
    await shared.close()


async def test_a_dropped_one_is_closed_and_replaced() -> None:
    clients = Clients()
    clients.ready.set()
    shared = Shared(clients.open, clients.close)
    first = await shared.get()
    shared.drop(first)
    assert await shared.get() == 2
    shared.drop(first)  # it is not the one in use
    assert shared.value == 2
    await shared.close()
    assert clients.closed == [1, 2]


async def test_nothing_is_opened_after_the_end() -> None:
    clients = Clients()
    clients.ready.set()
    shared = Shared(clients.open, clients.close)
    await shared.close()
    with pytest.raises(LogUnavailable, match="closed"):
        await shared.get()
    assert clients.opened == 0


async def test_closing_ends_a_start_under_way() -> None:
    clients = Clients()
    shared = Shared(clients.open, clients.close)
    waiting = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    await shared.close()
    with pytest.raises(LogUnavailable, match="closed"):
        await waiting
