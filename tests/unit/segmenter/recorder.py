"""An observer that only remembers."""

from collections.abc import Mapping, Sequence

from services.segmenter.change import Transition
from services.segmenter.commit import Incoming


class Recorder:
    def __init__(self) -> None:
        self.gaps = 0
        self.duplicates = 0
        self.fences = 0
        self.readiness: dict[int, dict[str, int]] = {}

    def committed(self, partition: int, records: Sequence[Incoming], transitions: Sequence[Transition]) -> None:
        pass

    def duplicate(self) -> None:
        self.duplicates += 1

    def gap(self, partition: int) -> None:
        self.gaps += 1

    def fenced(self) -> None:
        self.fences += 1

    def ready(self, partition: int, versions: Mapping[str, int]) -> None:
        self.readiness[partition] = dict(versions)
