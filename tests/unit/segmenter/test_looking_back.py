"""What a definition that looks back finds when others have kept less than it needs, and what much of it costs."""

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace.contracts.profile_event import ProfileRow
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.partition import Partition
from services.segmenter.runs import MAX_ITEMS
from tests.unit.segmenter.memory import MemoryStore, MemoryTimeline, Recorder
from tests.unit.segmenter.rows import apply, control, event, fold, plan

LEAST = {"event": {"name": "A", "min": {"of": "properties.p", "lte": 8}, "within": "50s"}}
LONGER = {"event": {"name": "A", "min": {"of": "properties.p", "lte": 8}, "within": "60s"}}


async def processed(*rows: Sequence[ProfileRow]) -> MemoryStore:
    """The store after the rows of each partition."""
    store = MemoryStore()
    for q, own in enumerate(rows):
        await store.reset(q, Watermark(epoch=1))
        partition = await Partition.opened(q, store, MemoryTimeline(rows), Recorder())
        assert partition is not None
        await partition.process([Incoming(row, number) for number, row in enumerate(own, 1)])
        await partition.flush()
    return store


def members(store: MemoryStore, q: int, profile_id: str) -> set[str]:
    return set(asyncio.run(store.customers(q, [profile_id]))[profile_id].members)


def defined(seq: int, key: str, when: Any, *, at: int, version: int = 1) -> list[ProfileRow]:
    return [
        control(seq, "define", key, version, at=at, when=when),
        control(seq + 1, "activate", key, version, at=at),
    ]


def test_values_that_a_later_one_outdoes_are_found_again_by_who_looks_back() -> None:
    rows = [
        *defined(1, "least", LONGER, at=0),
        event(3, "p", at=1_000, properties={"p": 7}),
        event(4, "p", at=30_000, properties={"p": 3}),
        *defined(5, "held", {"held": {"for": "10s", "condition": LEAST}}, at=31_000),
    ]
    assert members(asyncio.run(processed(rows)), 0, "p") == {"least", "held"}


def test_a_list_of_many_values_of_by_is_bounded_at_once() -> None:
    steps = {"steps": [{"event": "A"}], "then_not": {"event": "B", "within": "1h"}, "by": "properties.k[]"}
    target = fold(plan(waiting={"sequence": steps}))
    size = MAX_ITEMS - 1_000
    for number in range(3):
        apply(
            target, event(number + 1, "p", at=number, properties={"k": [number * size + n for n in range(size)]})
        )
    runs = target.customers["p"].runs_of(next(iter(target.plan.sequences)))
    assert runs is not None
    kept = [run.items[0][0] for run in runs]
    assert runs.approximate
    assert (len(kept), kept.count(2), kept.count(1)) == (MAX_ITEMS, size, 1_000)


RECENT = {"event": {"name": "A", "within": "20s"}}
HELD = {"segment": {"id": "b", "for": "30s"}}


def replayed(rows: Sequence[ProfileRow], profile_id: str, now: int) -> set[str]:
    past = asyncio.run(MemoryTimeline([rows]).history([profile_id], replayed=True))
    return set(past.replay(profile_id, 0, len(rows) + 1, now).customers[profile_id].members)


def test_a_replay_looks_back_at_a_segment_that_was_on_hold() -> None:
    rows = [
        *defined(1, "b", RECENT, at=0),
        *defined(3, "h", HELD, at=0),
        event(5, "p", at=1_000),
        event(6, "p", at=15_000),
        control(7, "pause", "b", at=16_000),
        event(8, "p", at=30_000),
        event(9, "p", "Z", at=36_000),
        control(10, "resume", "b", at=37_000),
    ]
    assert members(asyncio.run(processed(rows)), 0, "p") == {"b", "h"}
    assert replayed(rows, "p", 37_000) == {"b", "h"}


def test_a_replay_looks_back_through_one_segment_at_a_new_version_of_another() -> None:
    rows = [
        *defined(1, "c", {"event": {"name": "Q"}}, at=0),
        *defined(3, "b", {"segment": {"id": "c"}}, at=0),
        *defined(5, "h", HELD, at=0),
        *(event(7 + n, "p", at=1_000 + 14_000 * n) for n in range(3)),
        event(10, "p", "Z", at=36_000),
        *defined(11, "c", RECENT, at=37_000, version=2),
    ]
    assert members(asyncio.run(processed(rows)), 0, "p") == {"b", "c", "h"}
    assert replayed(rows, "p", 37_000) == {"b", "c", "h"}


def test_what_has_held_may_stand_inside_of_what_has_held_without_counting_every_way_through() -> None:
    condition: Any = {"event": {"name": "A", "within": "2h"}}
    for hours in (3, 5, 7, 9):
        condition = {"held": {"for": f"{hours}h", "condition": condition}}
    target = fold(plan(steady=condition))
    hour = 3_600_000
    apply(target, *(event(number, "p", at=number * hour) for number in range(1, 101)))
    target.advance(200 * hour)
    assert [(t.action, t.at // hour) for t in target.transitions] == [("entered", 1 + 24), ("exited", 102)]
