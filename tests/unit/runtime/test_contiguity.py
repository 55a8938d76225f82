"""Every order in which a network may hand records over leads to each one applied once, or to a visible stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.runtime.contiguity import Verdict, judge


@pytest.mark.parametrize(
    ("epoch", "seq", "verdict"),
    [
        (3, 8, Verdict.APPLY),
        (3, 7, Verdict.DUPLICATE),
        (3, 1, Verdict.DUPLICATE),
        (3, 9, Verdict.GAP),
        (3, 1000, Verdict.GAP),
        (4, 1, Verdict.NEW_EPOCH),
        (4, 8, Verdict.NEW_EPOCH),
        (2, 8, Verdict.STALE_EPOCH),
        (2, 1000, Verdict.STALE_EPOCH),
    ],
)
def test_verdict_after_epoch_3_seq_7(epoch: int, seq: int, verdict: Verdict) -> None:
    assert judge(3, 7, epoch, seq) is verdict


def test_the_first_record_of_all_has_number_one() -> None:
    assert judge(1, 0, 1, 1) is Verdict.APPLY
    assert judge(1, 0, 1, 2) is Verdict.GAP


@given(st.lists(st.integers(min_value=1, max_value=8), max_size=60))
def test_what_is_applied_is_dense_and_single_whatever_arrives(arrivals: list[int]) -> None:
    applied: list[int] = []
    for seq in arrivals:
        if judge(1, len(applied), 1, seq) is Verdict.APPLY:
            applied.append(seq)
    assert applied == list(range(1, len(applied) + 1))


@given(st.integers(min_value=1, max_value=8), st.randoms(use_true_random=False))
def test_resending_until_everything_is_in_ends(count: int, random: "st.DataObject") -> None:
    """A sender that repeats everything in any order gets it in within as many rounds as there are records."""
    order = list(range(1, count + 1))
    last = 0
    for _ in range(count):
        random.shuffle(order)  # type: ignore[attr-defined]
        for seq in order:
            if judge(1, last, 1, seq) is Verdict.APPLY:
                last = seq
    assert last == count
