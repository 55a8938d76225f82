"""What is known of a customer: the events with those of everybody merged into it, and what its own rows set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.profile_event import ErasureRow, EventRow, MergeRow, ProfileRow


@dataclass(frozen=True, slots=True)
class Subject:
    """`events` is the combined history, in any order; `own` are the customer's own rows, ascending by seq. Rows
    are decoded with exact numbers (`paths.decode_row`)."""

    profile_id: str
    events: Sequence[EventRow]
    own: Sequence[EventRow | MergeRow]


def subject(profile_id: str, rows: Mapping[str, Sequence[ProfileRow]], upto: int) -> Subject:
    """The customer after its row with seq `upto` (DESIGN §4.7).

    `rows`: each profile's own rows, ascending by seq, for this profile and for all that may have been merged into
    it. A merge row brings the loser's rows up to the tombstone it names, and those of the loser's own losers.
    """
    own = _until(rows.get(profile_id, ()), upto)
    events: list[EventRow] = []
    left = [own]
    while left:
        for row in left.pop():
            if isinstance(row, EventRow):
                events.append(row)
            else:
                left.append(_until(rows.get(row.loser, ()), row.loser_seq))
    return Subject(profile_id, events, own)


def _until(rows: Sequence[ProfileRow], upto: int) -> list[EventRow | MergeRow]:
    """The events and merges up to this seq; those before an erasure are forgotten."""
    kept: list[EventRow | MergeRow] = []
    for row in rows:
        if row.seq > upto:
            break
        if isinstance(row, ErasureRow):
            kept.clear()
        elif isinstance(row, EventRow | MergeRow):
            kept.append(row)
    return kept
