"""What operators ask of the partitions that this process works on: a rebuild, publishing again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from headrace.contracts.errors import HeadraceError
from headrace.runtime.publisher import Relay


class RebuildAsked(HeadraceError):
    """The partition's worker stops here and starts over from history."""


@dataclass(slots=True)
class _Desk:
    """A partition at work. `relay` is None while it is opened or rebuilt."""

    relay: Relay | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)


class Repairs:
    """A wish for a rebuild stands until the rebuild is done, whatever happens to the worker meanwhile; it is
    forgotten with the process."""

    def __init__(self) -> None:
        self._desks: dict[int, _Desk] = {}
        self._wanted: set[int] = set()

    @property
    def partitions(self) -> list[int]:
        """What this process works on, ascending."""
        return sorted(self._desks)

    @contextmanager
    def working(self, partition: int) -> Iterator[None]:
        """The worker of `partition` runs."""
        desk = self._desks[partition] = _Desk()
        try:
            yield
        finally:
            if self._desks.get(partition) is desk:  # else a worker that came after this one has its own
                del self._desks[partition]

    @contextmanager
    def publishing(self, partition: int, relay: Relay) -> Iterator[None]:
        """The partition is open, and `relay` publishes it."""
        desk = self._desks[partition]
        desk.relay = relay
        try:
            yield
        finally:
            desk.relay = None

    def relay(self, partition: int) -> Relay | None:
        desk = self._desks.get(partition)
        return desk.relay if desk is not None else None

    def want_rebuild(self, partition: int) -> None:
        """Have a partition of ours rebuilt."""
        self._wanted.add(partition)
        self._desks[partition].asked.set()

    def wanted(self, partition: int) -> bool:
        """Whether a rebuild is waiting or under way."""
        return partition in self._wanted

    def rebuilt(self, partition: int) -> None:
        self._wanted.discard(partition)
        self._desks[partition].asked.clear()

    async def interrupt(self, partition: int) -> None:
        """Wait until a rebuild is asked for. Raises RebuildAsked."""
        await self._desks[partition].asked.wait()
        raise RebuildAsked(f"partition {partition}")
