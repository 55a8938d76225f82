"""What an unmerge does to memberships: who stays keeps the entry, nobody enters by what was there before."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.profile_event import EventRow, ProfileRow
from services.segmenter.change import Transition
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.partition import Partition
from tests.unit.segmenter.memory import MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event, merge, split, tombstone, unmerge

TWO = {"event": {"name": "A", "count": {"gte": 2}}}
ONE = {"event": {"name": "A", "count": {"eq": 1}}}
BRNO = {"trait": {"name": "city", "eq": "Brno"}}
OLD, NEW, OTHER = 0, 1, 2
"""Partitions of the customers `old`, `new` and `other`."""


class Shop:
    """Three customers, each on a partition of its own, and one segment."""

    def __init__(self, when: Any) -> None:
        self.rows: list[list[ProfileRow]] = [
            [control(1, "define", "s", at=1, when=when), control(2, "activate", "s", at=1)] for _ in range(3)
        ]
        self._moved: dict[str, list[tuple[int, EventRow]]] = {}

    def event(self, q: int, name: str = "A", *, at: int, **fields: Any) -> EventRow:
        row = event(self.next(q), PROFILES[q], name, at=at, message_id=f"{PROFILES[q]}-{at}", **fields)
        self.rows[q].append(row)
        return row

    def part(
        self,
        leaving: Sequence[EventRow],
        *,
        at: int,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
        to: int = 1,
    ) -> None:
        """These events of `old` are those of `new`, or of whom is on partition `to`."""
        name = PROFILES[to]
        self.rows[OLD].append(unmerge(self.next(OLD), "old", name, at=at, **(old or {})))
        self.rows[to].append(split(self.next(to), name, "old", at=at, **(new or {})))
        self._moved[name] = [(PROFILES.index(row.profile_id), row) for row in leaving]

    def merge(self, loser: int, winner: int, *, at: int) -> None:
        self.rows[loser].append(tombstone(self.next(loser), PROFILES[loser], PROFILES[winner], at=at))
        seq = self.next(loser) - 1
        row = merge(
            self.next(winner), PROFILES[winner], PROFILES[loser], loser_partition=loser, loser_seq=seq, at=at
        )
        self.rows[winner].append(row)

    def next(self, q: int) -> int:
        return len(self.rows[q]) + 1

    async def folded(self) -> list[Transition]:
        store, timeline = MemoryStore(), MemoryTimeline(self.rows, self._moved)
        for q, own in enumerate(self.rows):
            await store.reset(q, Watermark(epoch=1))
            partition = await Partition.opened(q, store, timeline, Recorder())
            assert partition is not None
            await partition.process([Incoming(row, row.seq) for row in own])
        assert len({change.message_id for change in store.transitions}) == len(store.transitions)
        return store.transitions


PROFILES = ("old", "new", "other")


def of(transitions: Sequence[Transition], profile: str) -> list[tuple[str, str]]:
    return [(t.action, t.reason) for t in transitions if t.profile_id == profile]


async def test_who_is_no_member_without_what_left_exits_and_who_got_it_enters() -> None:
    shop = Shop(TWO)
    leaving = [shop.event(OLD, at=1_000), shop.event(OLD, at=2_000)]
    shop.part(leaving, at=3_000)
    found = await shop.folded()
    assert of(found, "old") == [("entered", "event"), ("exited", "unmerge")]
    assert of(found, "new") == [("entered", "unmerge")]
    assert found[1].entry_id == found[0].entry_id
    assert found[2].entry_id != found[0].entry_id


async def test_who_stays_a_member_keeps_the_entry() -> None:
    shop = Shop(TWO)
    [_, decided, _] = [shop.event(OLD, at=at) for at in (1_000, 2_000, 2_500)]
    shop.part([decided], at=3_000)
    assert of(await shop.folded(), "old") == [("entered", "event")]


async def test_both_may_enter() -> None:
    shop = Shop(ONE)
    [_, second] = [shop.event(OLD, at=at) for at in (1_000, 2_000)]
    shop.part([second], at=3_000)
    found = await shop.folded()
    assert of(found, "old") == [("entered", "event"), ("exited", "event"), ("entered", "unmerge")]
    assert of(found, "new") == [("entered", "unmerge")]


async def test_each_has_the_traits_that_its_row_says() -> None:
    shop = Shop(BRNO)
    shop.part([shop.event(OLD, at=1_000, traits={"city": "Brno"})], at=3_000, old={"traits": {"city": None}},
              new={"traits": {"city": "Brno"}})  # fmt: skip
    found = await shop.folded()
    assert of(found, "old") == [("entered", "trait"), ("exited", "unmerge")]
    assert of(found, "new") == [("entered", "unmerge")]


async def test_each_is_named_by_the_identifiers_of_its_own_events() -> None:
    shop = Shop(ONE)
    shop.event(OLD, at=1_000, anonymous_id="laptop", user_id="ann")
    tablet = shop.event(OLD, at=2_000, anonymous_id="tablet", user_id="ann")
    shop.part([tablet], at=3_000, old={"user_id": "ann"})
    people = {change.profile_id: change.occasion.person for change in await shop.folded()}
    assert (people["old"].anonymous_id, people["old"].user_id) == ("laptop", "ann")
    assert (people["new"].anonymous_id, people["new"].user_id) == ("tablet", None)


async def test_together_again_they_have_an_entry_that_triggers_nothing() -> None:
    shop = Shop(TWO)
    [_, second] = [shop.event(OLD, at=at) for at in (1_000, 2_000)]
    shop.part([second], at=3_000)
    shop.merge(NEW, OLD, at=4_000)
    found = await shop.folded()
    assert of(found, "old") == [("entered", "event"), ("exited", "unmerge"), ("entered", "merge")]
    assert of(found, "new") == []


async def test_who_got_the_event_that_decided_an_entry_never_gets_that_entry() -> None:
    """It is somebody's who is a member still: two customers would have one message."""
    shop = Shop(TWO)
    [_, decided, _] = [shop.event(OLD, at=at) for at in (1_000, 2_000, 2_500)]
    shop.part([decided], at=3_000)
    shop.event(OTHER, at=1_500)
    shop.merge(NEW, OTHER, at=4_000)
    entered = {change.profile_id: change for change in await shop.folded()}
    assert entered.keys() == {"old", "other"}
    assert entered["other"].entry_id != entered["old"].entry_id
    assert (entered["other"].reason, entered["other"].cause_message_id) == ("event", "old-2000")


async def test_what_came_back_with_a_merge_counts_once() -> None:
    shop = Shop({"event": {"name": "A", "count": {"eq": 2}}})
    [_, second] = [shop.event(OLD, at=at) for at in (1_000, 2_000)]
    shop.part([second], at=3_000)
    shop.merge(NEW, OLD, at=4_000)
    assert of(await shop.folded(), "old")[-1] == ("entered", "merge")


async def test_who_is_taken_apart_into_three_is_looked_at_when_all_is_done() -> None:
    """Without the first part alone it would be no member, and with what the last one leaves it is one again."""
    bought_or_brno = {"any": [{"event": {"name": "B"}}, BRNO]}
    shop = Shop(bought_or_brno)
    first = shop.event(OLD, "B", at=1_000)
    second = shop.event(OLD, at=2_000, traits={"city": "Praha"})
    shop.part([first], at=3_000, old={"more": True})
    shop.part([second], at=3_000, old={"traits": {"city": "Brno"}}, to=OTHER)
    found = await shop.folded()
    assert of(found, "old") == [("entered", "event")]
    assert of(found, "new") == [("entered", "unmerge")]
    assert of(found, "other") == []
