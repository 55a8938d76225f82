"""Which rows are a customer's: its own, and those of everybody merged into it up to the tombstones."""

from collections.abc import Mapping, Sequence

from headrace.contracts.profile_event import ErasureRow, ProfileRow
from services.segmenter.batch.customer import subject
from services.segmenter.history import History, Scripts, StoredRow
from tests.unit.segmenter.rows import event, merge, tombstone

Rows = Mapping[str, Sequence[ProfileRow]]

MERGED: Rows = {
    # p2 took p3 and was then taken by p1
    "p1": [
        event(1, "p1", at=10),
        merge(4, "p1", "p2", loser_partition=1, loser_seq=9, at=40),
        event(6, "p1", at=60),
        merge(8, "p1", "p4", loser_partition=1, loser_seq=12, at=80),
    ],
    "p2": [
        event(2, "p2", at=15, message_id="n2"),
        merge(5, "p2", "p3", loser_partition=0, loser_seq=3, at=30),
        event(7, "p2", at=35, message_id="n7"),
        tombstone(9, "p2", "p1", at=40),
        event(10, "p2", at=90, message_id="never"),  # nothing follows a tombstone; if it did, it is not p1's
    ],
    "p3": [event(2, "p3", at=5, message_id="l2"), tombstone(3, "p3", "p2", at=30)],
    "p4": [event(11, "p4", at=70, message_id="k11"), tombstone(12, "p4", "p1", at=80)],
}


def ids(rows: Rows, profile_id: str, upto: int) -> set[str]:
    return {row.message_id for row in subject(profile_id, rows, upto).events}


def test_a_merge_brings_the_losers_events_and_those_of_its_losers() -> None:
    assert ids(MERGED, "p1", 3) == {"m1"}
    assert ids(MERGED, "p1", 4) == {"m1", "n2", "n7", "l2"}
    assert ids(MERGED, "p1", 7) == {"m1", "n2", "n7", "l2", "m6"}
    assert ids(MERGED, "p1", 8) == {"m1", "n2", "n7", "l2", "m6", "k11"}
    assert ids(MERGED, "p2", 4) == {"n2"}


def test_own_rows_are_events_and_merges_of_the_customer_alone() -> None:
    assert [row.seq for row in subject("p1", MERGED, 6).own] == [1, 4, 6]
    assert subject("nobody", MERGED, 6).own == []


def test_the_rows_are_those_that_are_recomputed_from_history() -> None:
    partitions = {"p1": 0, "p2": 1, "p3": 0, "p4": 1}
    stored = {key: [StoredRow(partitions[key], row) for row in rows] for key, rows in MERGED.items()}
    history = History(stored, {}, Scripts())
    for upto in range(1, 10):
        combined = [one.row for one in history.combined("p1", upto + 1)]
        assert sorted(combined, key=id) == sorted(subject("p1", MERGED, upto).events, key=id)


def test_what_was_before_an_erasure_is_forgotten() -> None:
    erasure = ErasureRow(seq=2, epoch=1, time=2, low=2, profile_id="p1")
    rows: Rows = {"p1": [event(1, "p1", at=1), erasure, event(3, "p1", at=3)]}
    assert ids(rows, "p1", 1) == {"m1"}
    assert ids(rows, "p1", 2) == set()
    assert ids(rows, "p1", 3) == {"m3"}
