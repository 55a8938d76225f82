"""An observer that only remembers."""

from collections.abc import Mapping, Sequence

from services.segmenter.change import Transition
from services.segmenter.commit import Incoming


class Recorder:
    def __init__(self) -> None:
        self.gaps = 0
        self.duplicates = 0
        self.fences = 0
        self.ready: dict[int, dict[str, int]] = {}
        self.live: dict[int, dict[str, int]] = {}
        self.backfills: list[tuple[int, dict[str, int], int, int]] = []

    def committed(self, partition: int, records: Sequence[Incoming], transitions: Sequence[Transition]) -> None:
        pass

    def duplicate(self) -> None:
        self.duplicates += 1

    def gap(self, partition: int, expected: int, found: int) -> None:
        self.gaps += 1

    def fenced(self) -> None:
        self.fences += 1

    def definitions(self, partition: int, *, ready: Mapping[str, int], live: Mapping[str, int]) -> None:
        self.ready[partition], self.live[partition] = dict(ready), dict(live)

    def backfilling(self, partition: int, versions: Mapping[str, int], *, done: int, total: int) -> None:
        self.backfills.append((partition, dict(versions), done, total))
