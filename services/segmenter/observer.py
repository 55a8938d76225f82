"""What a partition tells about its work: the port to metrics and to the life of definitions."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.segmenter.change import Transition
from services.segmenter.commit import Incoming


class Observer(Protocol):
    """Called after the fact, in the order of the facts; must neither raise nor block."""

    def committed(self, partition: int, records: Sequence[Incoming], transitions: Sequence[Transition]) -> None:
        """These records are applied and these transitions are stored."""
        ...

    def duplicate(self) -> None:
        """A row was dropped as seen before."""
        ...

    def gap(self, partition: int, expected: int, found: int) -> None:
        """A row came before the one that is due."""
        ...

    def fenced(self) -> None:
        """Another process had committed to our partition."""
        ...

    def definitions(self, partition: int, *, ready: Mapping[str, int], live: Mapping[str, int]) -> None:
        """Segment → version: whose state is complete here, and who is evaluated and published (or paused)."""
        ...

    def backfilling(self, partition: int, versions: Mapping[str, int], *, done: int, total: int) -> None:
        """Of these versions in preparation, `done` of `total` customers are recomputed here."""
        ...
