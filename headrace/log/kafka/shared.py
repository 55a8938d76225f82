"""A client that is made when first needed and shared by all who need it meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from headrace.log.port import LogUnavailable

T = TypeVar("T")


async def result(task: asyncio.Task[T]) -> T:
    """What a task comes to that is not only this caller's: a caller who goes away leaves it running. Raises
    LogUnavailable when the log was closed over it."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if task.cancelled() and caller is not None and not caller.cancelling():
            raise LogUnavailable("this log is closed") from None
        raise


class Shared(Generic[T]):
    """`make` opens one, `discard` closes it. A caller who gives up waiting does not stop the others' start."""

    def __init__(self, make: Callable[[], Awaitable[T]], discard: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._discard = discard
        self._value: T | None = None
        self._starting: asyncio.Task[T] | None = None
        self._discarding: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def value(self) -> T | None:
        """The one in use now."""
        return self._value

    async def get(self) -> T:
        """The one in use, or a new one. Raises what `make` raises, LogUnavailable once closed."""
        if self._value is not None:
            return self._value
        if self._closed:
            raise LogUnavailable("this log is closed")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="log-client")
            self._starting.add_done_callback(self._started)
        return await result(self._starting)

    def drop(self, value: T) -> None:
        """Use it no more; it is closed in the background."""
        if self._value is value:
            self._value = None
            task = asyncio.create_task(self._close(value), name="log-client-closes")
            self._discarding.add(task)
            task.add_done_callback(self._discarding.discard)

    async def close(self) -> None:
        """Close what is open; nothing is opened any more."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._value is not None:
            self.drop(self._value)
        await asyncio.gather(*self._discarding)

    async def _close(self, value: T) -> None:
        await self._discard(value)

    async def _start(self) -> T:
        self._value = await self._make()
        return self._value

    def _started(self, task: "asyncio.Task[T]") -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # whoever waits has it
