"""From what an event carries to what it can touch: its atoms, and the comparisons of the traits that it changes.

The work is of the size of what is found, not of all that is defined.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from services.segmenter.compare import Mismatches
from services.segmenter.filters import AnyFilter, Filter
from services.segmenter.leaves import TraitLeaf, trait_values
from services.segmenter.paths import EventView, Steps
from services.segmenter.value_index import INDEXED, ValueIndex


class Piece(Protocol):
    """What an event may belong to."""

    @property
    def filters(self) -> Sequence[AnyFilter]:
        """All must pass."""
        ...


PieceType = TypeVar("PieceType", bound=Piece)


class EventIndex(Generic[PieceType]):
    """The pieces of one event name, each found through one of its filters: an equality if it has one."""

    __slots__ = ("_by_path", "_tried", "_unfiltered")

    def __init__(self) -> None:
        self._unfiltered: list[PieceType] = []
        self._tried: list[PieceType] = []
        self._by_path: dict[Steps, ValueIndex[tuple[PieceType, tuple[AnyFilter, ...]]]] = {}

    def add(self, piece: PieceType) -> None:
        plain = [condition for condition in piece.filters if isinstance(condition, Filter)]
        if not plain:
            (self._tried if piece.filters else self._unfiltered).append(piece)
            return
        access = min(plain, key=_selectivity)
        others = tuple(condition for condition in piece.filters if condition is not access)
        index = self._by_path.setdefault(access.steps, ValueIndex())
        index.add((piece, others), access.operator, access.operand)

    def matching(self, view: EventView, mismatches: Mismatches) -> list[PieceType]:
        """The pieces that the event belongs to."""
        found = self._unfiltered.copy()
        if self._tried:
            found += [
                piece for piece in self._tried if all(test.matches(view, mismatches) for test in piece.filters)
            ]
        for steps, index in self._by_path.items():
            for piece, others in index.hits(view.values(steps), mismatches):
                if not others or all(condition.matches(view, mismatches) for condition in others):
                    found.append(piece)
        return found


class TraitIndex:
    """The comparisons of one trait."""

    __slots__ = ("_by_path",)

    def __init__(self) -> None:
        self._by_path: dict[Steps, ValueIndex[TraitLeaf]] = {}

    def add(self, leaf: TraitLeaf) -> None:
        self._by_path.setdefault(leaf.steps, ValueIndex()).add(leaf, leaf.operator, leaf.operand)

    def flipped(self, before: bytes | None, after: bytes | None, mismatches: Mismatches) -> dict[int, bool]:
        """The leaves that are true of one of the two values (JSON text, None: no trait) alone, and what each is of
        `after`."""
        found: dict[int, bool] = {}
        if before == after:
            return found
        for steps, index in self._by_path.items():
            was = {leaf.index for leaf in index.hits(trait_values(before, steps), mismatches)}
            now = {leaf.index for leaf in index.hits(trait_values(after, steps), mismatches)}
            found.update((leaf, leaf in now) for leaf in was ^ now)
        return found


def _selectivity(condition: Filter) -> int:
    """How few events pass, as far as the operator tells: the lowest is the most selective."""
    if condition.operator in {"eq", "in"}:
        return 0
    return 1 if condition.operator in INDEXED else 2
