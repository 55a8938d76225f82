"""What a partition tells about its work: the port to metrics and to the life of definitions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from services.segmenter.change import Transition

if TYPE_CHECKING:
    from services.segmenter.commit import Incoming


class Observer(Protocol):
    """Called after the fact, never before a commit; must not raise and must not block."""

    def committed(
        self, partition: int, records: "Sequence[Incoming]", transitions: Sequence[Transition]
    ) -> None: ...

    def duplicate(self) -> None: ...

    def gap(self, partition: int) -> None: ...

    def fenced(self) -> None: ...

    def ready(self, partition: int, versions: Mapping[str, int]) -> None:
        """The state of these versions (segment → number) is complete on this partition."""
        ...
