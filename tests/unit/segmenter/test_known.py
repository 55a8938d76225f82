"""Customers kept from batch to batch are never other than the store's."""

from collections.abc import Sequence

import pytest

from headrace.contracts.profile_event import ProfileRow
from services.segmenter.commit import Commit, Incoming, Watermark
from services.segmenter.customer import Customer
from services.segmenter.known import Known
from services.segmenter.partition import Partition
from services.segmenter.redis_client import StoreUnavailable
from tests.unit.segmenter.memory import MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event

ONCE = {"event": {"name": "A", "count": {"eq": 1}}}
TWICE = {"event": {"name": "A", "count": {"eq": 2}}}
LIVE: Sequence[ProfileRow] = [control(1, "define", "s", at=1, when=TWICE), control(2, "activate", "s", at=1)]


class WatchedStore(MemoryStore):
    """Remembers who was read; refuses the next commit when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.broken = False

    async def customers(self, partition: int, profile_ids: Sequence[str]) -> dict[str, Customer]:
        self.read += profile_ids
        return await super().customers(partition, profile_ids)

    async def commit(self, partition: int, expected: Watermark, commit: Commit) -> None:
        if self.broken:
            self.broken = False
            raise StoreUnavailable("not now")
        await super().commit(partition, expected, commit)


async def opened(store: MemoryStore, rows: Sequence[ProfileRow], known: int = 9) -> Partition:
    await store.reset(0, Watermark(epoch=1))
    partition = await Partition.opened(0, store, MemoryTimeline([rows]), Recorder(), known=known)
    assert partition is not None
    return partition


async def process(partition: Partition, *rows: ProfileRow) -> None:
    """A batch for each row."""
    for row in rows:
        await partition.process([Incoming(row, row.seq)])


def moves(store: MemoryStore) -> list[tuple[str, str, int]]:
    return [(change.segment_id, change.action, change.row_seq) for change in store.transitions]


async def test_who_is_busy_is_read_once() -> None:
    rows: list[ProfileRow] = [*LIVE, *(event(seq, f"p{seq % 2}", at=seq) for seq in range(3, 9))]
    store = WatchedStore()
    await process(await opened(store, rows), *rows)
    assert store.read == ["p1", "p0"]
    assert moves(store) == [("s", "entered", 5), ("s", "entered", 6), ("s", "exited", 7), ("s", "exited", 8)]


async def test_whom_there_is_no_room_for_is_read_again() -> None:
    rows: list[ProfileRow] = [*LIVE, *(event(seq, f"p{seq % 2}", at=seq) for seq in range(3, 7))]
    store = WatchedStore()
    await process(await opened(store, rows, known=1), *rows)
    assert store.read == ["p1", "p0", "p1", "p0"]
    assert moves(store) == [("s", "entered", 5), ("s", "entered", 6)]


async def test_a_commit_that_fails_leaves_nothing_behind() -> None:
    rows: list[ProfileRow] = [*LIVE, event(3, "p", at=3), event(4, "p", at=4)]
    store = WatchedStore()
    partition = await opened(store, rows)
    await process(partition, *rows[:3])
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await process(partition, rows[3])
    await process(partition, rows[3])
    assert moves(store) == [("s", "entered", 4)]


async def test_whom_a_sweep_moved_is_read_again() -> None:
    rows: list[ProfileRow] = [
        *LIVE,
        event(3, "p", at=3),
        control(4, "define", "once", at=4, when=ONCE),
        control(5, "activate", "once", at=5),
        event(6, "p", at=6),
    ]
    store = WatchedStore()
    await process(await opened(store, rows), *rows)
    assert moves(store) == [("once", "entered", 5), ("once", "exited", 6), ("s", "entered", 6)]


async def test_who_was_prepared_is_read_again() -> None:
    rows: list[ProfileRow] = [
        *LIVE,
        event(3, "p", "C", at=3),
        event(4, "p", at=4),
        control(5, "define", "c", at=5, when={"event": {"name": "C", "count": {"gte": 3}}}),
        event(6, "p", "C", at=6),
        control(7, "activate", "c", at=7),
        event(8, "p", "C", at=8),
    ]
    store = WatchedStore()
    partition = await opened(store, rows)
    await process(partition, *rows[:5])
    while await partition.backfill():
        pass
    await process(partition, *rows[5:])
    assert moves(store) == [("c", "entered", 8)]


def test_who_was_taken_is_gone_and_the_longest_unused_goes_first() -> None:
    known = Known(capacity=2)
    known.give_back({key: Customer(key) for key in "abc"})
    assert list(known.take("abc")) == ["b", "c"]
    assert known.take("abc") == {}
    known.give_back({"b": Customer("b"), "c": Customer("c")})
    known.give_back({"b": None})
    known.drop("c")
    assert known.take("bc") == {}
