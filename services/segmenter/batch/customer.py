"""What is known of a customer: the events with those of everybody merged into it, less those that were taken out,
and what its own rows set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.profile_event import ErasureRow, EventRow, MergeRow, ProfileRow, SplitRow, UnmergeRow

OwnRow = EventRow | MergeRow | UnmergeRow | SplitRow
Moved = Mapping[str, Sequence[EventRow]]
"""By unmerge: the events that it moved."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`events` is the combined history, in any order; `own` are the customer's own rows, ascending by seq. Rows
    are decoded with exact numbers (`paths.decode_row`)."""

    profile_id: str
    events: Sequence[EventRow]
    own: Sequence[OwnRow]


def subject(
    profile_id: str, rows: Mapping[str, Sequence[ProfileRow]], upto: int, moved: Moved | None = None
) -> Subject:
    """The customer after its row with seq `upto` (DESIGN §4.7).

    `rows`: each profile's own rows, ascending by seq, for this profile and for all that may have been merged into
    it. A merge row brings the loser's rows up to the tombstone it names, and those of the loser's own losers. A
    split row brings the events that its unmerge moved, the unmerge row takes them.
    """
    own = _until(rows.get(profile_id, ()), upto)
    came: list[EventRow] = []
    went: list[EventRow] = []
    left = [own]
    while left:
        for row in left.pop():
            if isinstance(row, EventRow):
                came.append(row)
            elif isinstance(row, SplitRow):
                came += (moved or {}).get(row.id, ())
            elif isinstance(row, UnmergeRow):
                went += (moved or {}).get(row.id, ())
            else:
                left.append(_until(rows.get(row.loser, ()), row.loser_seq))
    return Subject(profile_id, _less(came, went), own)


def _less(came: Iterable[EventRow], went: Iterable[EventRow]) -> list[EventRow]:
    """An event that was taken out and came back with a later merge has come twice and gone once."""
    gone = Counter((row.profile_id, row.seq) for row in went)
    kept = []
    for row in came:
        place = row.profile_id, row.seq  # a profile's rows are all on one partition
        if gone[place]:
            gone[place] -= 1
        else:
            kept.append(row)
    return kept


def _until(rows: Sequence[ProfileRow], upto: int) -> list[OwnRow]:
    """The events, merges and unmerges up to this seq; those before an erasure are forgotten."""
    kept: list[OwnRow] = []
    for row in rows:
        if row.seq > upto:
            break
        if isinstance(row, ErasureRow):
            kept.clear()
        elif isinstance(row, OwnRow):
            kept.append(row)
    return kept
