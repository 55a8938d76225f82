"""What a batch of changes comes to: cut anywhere, the same intervals and counts come out."""

from collections import Counter
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeAction, ChangeProfile, ChangeReason, SegmentChange
from headrace.log.port import Record
from services.segmenter.followed import FollowedChange
from services.segmenter.intervals import HOUR_MS, UNKNOWN, Batch, Count, Interval, Key

T0 = 1_790_000_000_000
IN: Literal["entered"] = "entered"
OUT: Literal["exited"] = "exited"


def change(
    action: ChangeAction, at: int, entry: str = "e1", *, profile: str = "p1", reason: ChangeReason = "event"
) -> FollowedChange:
    properties = {
        "segment_id": "vip",
        "segment_version": 2,
        "action": action,
        "reason": reason,
        "entry_id": entry,
        "cause_message_id": f"m-{entry}",
        "sequence": 1,
    }
    return FollowedChange(
        0,
        0,
        1,
        1,
        Record("changes", 0, 0, at, b"", b"", ()),
        SegmentChange(
            event="Audience Entered" if action == "entered" else "Audience Exited",
            message_id="m",
            user_id=None,
            anonymous_id=None,
            timestamp=format_instant(T0 + at),
            properties=properties,
            context={},
            profile=ChangeProfile(profile),
        ),
    )


class Kept:
    """What the tables do: closings first, then what is added."""

    def __init__(self) -> None:
        self.closed: list[Interval] = []
        self.open: dict[Key, Interval] = {}
        self.counts: Counter[Count] = Counter()

    def take(self, *changes: FollowedChange) -> None:
        batch = Batch(0, changes)
        met: dict[Key, bool] = {}
        before = list(self.open.values())
        for closing in batch.closings():
            key = closing.segment_id, closing.profile_id
            if (held := self.open.pop(key, None)) is not None:
                met[key] = held.entry_id == closing.entry_id
                at, reason = (closing.then_at, closing.then_reason) if met[key] else (closing.at, closing.reason)
                self._keep(held._replace(exited_at=at, exited_reason=reason))
        intervals = [*self.closed, *self.open.values(), *before]
        added = batch.added(met, {(held.segment_id, held.profile_id) for held in intervals})
        for interval in added:
            self._keep(interval)
        self.counts += batch.counts(met, added)

    def _keep(self, interval: Interval) -> None:
        key = interval.segment_id, interval.profile_id
        if interval.exited_at is not None:
            self.closed.append(interval)
        else:
            assert key not in self.open  # the unique index
            self.open[key] = interval

    def spans(self) -> list[tuple[str, int | None, int | None]]:
        found = sorted([*self.closed, *self.open.values()], key=lambda i: (i.entered_at, i.exited_at or 2**62))
        return [
            (
                i.entry_id,
                None if i.entered_at == UNKNOWN else i.entered_at - T0,
                None if i.exited_at is None else i.exited_at - T0,
            )
            for i in found
        ]

    def counted(self, action: str) -> int:
        return sum(count for key, count in self.counts.items() if key.action == action)


CASES = {
    "in": ([change(IN, 0)], [("e1", 0, None)]),
    "in and out": ([change(IN, 0), change(OUT, 5)], [("e1", 0, 5)]),
    "twice": (
        [change(IN, 0), change(OUT, 5), change(IN, 7, "e2"), change(OUT, 9, "e2"), change(IN, 9, "e3")],
        [("e1", 0, 5), ("e2", 7, 9), ("e3", 9, None)],
    ),
    "at one instant": (
        [change(IN, 0), change(OUT, 0), change(IN, 0, "e2"), change(OUT, 0, "e2"), change(IN, 0, "e3")],
        [("e1", 0, 0), ("e2", 0, 0), ("e3", 0, None)],
    ),
    "an exit of before": ([change(OUT, 5), change(IN, 7, "e2")], [("e1", None, 5), ("e2", 7, None)]),
    "under another entry, as after a merge": ([change(IN, 0), change(OUT, 5, "e0")], [("e1", 0, 5)]),
    "an exit for each entry of a merge": (
        [change(IN, 0), change(OUT, 5, reason="merge"), change(OUT, 5, "e2", reason="merge")],
        [("e1", 0, 5)],
    ),
    "another exit": ([change(OUT, 5), change(OUT, 6)], [("e1", None, 5)]),
    "the end of a loser's entry": ([change(OUT, 5, reason="merge")], []),
    "the same entry again": ([change(IN, 0), change(IN, 3), change(OUT, 5)], [("e1", 0, 5)]),
    "another entry without an exit": ([change(IN, 0), change(IN, 3, "e2")], [("e1", 0, 3), ("e2", 3, None)]),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_intervals(changes: list[FollowedChange], expected: list[tuple[str, int | None, int | None]]) -> None:
    for cut in range(len(changes) + 1):
        kept = Kept()
        for part in (changes[:cut], changes[cut:]):
            kept.take(*part)
        assert kept.spans() == expected, cut
        assert kept.counted("entered") == sum(1 for _, begin, _ in expected if begin is not None)
        assert kept.counted("exited") == sum(1 for _, _, end in expected if end is not None)


def test_counts_are_by_the_hour_and_reason() -> None:
    kept = Kept()
    kept.take(change(IN, 0), change(OUT, HOUR_MS, reason="time"), change(IN, 0, profile="p2"))
    first = T0 - T0 % HOUR_MS
    assert kept.counts == {
        Count("vip", first, 0, "event", "entered"): 2,
        Count("vip", first + HOUR_MS, 0, "time", "exited"): 1,
    }


moves = st.lists(
    st.tuples(st.sampled_from([IN, OUT]), st.integers(0, 2), st.sampled_from(["p1", "p2"]), st.integers(0, 3)),
    max_size=12,
)


@given(moves=moves, cuts=st.lists(st.integers(0, 12), max_size=6))
def test_batches_make_no_difference(moves: list[tuple[ChangeAction, int, str, int]], cuts: list[int]) -> None:
    """Whatever comes, also what never should."""
    at = 0
    changes = []
    for action, later, profile, entry in moves:
        at += later
        changes.append(change(action, at, f"e{entry}", profile=profile))
    whole, parts = Kept(), Kept()
    whole.take(*changes)
    for begin, end in pairwise(sorted({0, len(changes), *(cut for cut in cuts if cut < len(changes))})):
        parts.take(*changes[begin:end])
    assert parts.open == whole.open
    assert sorted(parts.closed, key=str) == sorted(whole.closed, key=str)
    assert parts.counts == whole.counts
