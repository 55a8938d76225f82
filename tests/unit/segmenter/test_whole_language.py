"""The whole language, in any combination, on random histories: the fold's promises hold for every condition."""

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.instant import parse_instant
from headrace.runtime.publisher import Published
from services.segmenter.catalog import Catalog
from services.segmenter.explain import Explanation
from services.segmenter.history import explaining_plan
from services.segmenter.leaves import Segment
from services.segmenter.plan import Plan
from services.segmenter.rebuild import rebuild
from tests.unit.segmenter.memory import MemoryPublished, MemoryStore, MemoryTimeline, Recorder
from tests.unit.segmenter.test_partition_properties import (
    Operations,
    disturbed,
    incoming,
    kept,
    members,
    opened,
    undisturbed,
)
from tests.unit.segmenter.whole_language import definition_sets
from tests.unit.segmenter.world import PARTITIONS, World, dense_history, whole_history

EXAMPLES = settings(max_examples=60, deadline=None)
Definitions = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@EXAMPLES
@given(definition_sets(), whole_history)
def test_recomputing_agrees_with_the_fold_after_every_record(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(pool=definitions[0], edits=definitions[1])
    asyncio.run(agree_after_every_record(world, operations))


async def agree_after_every_record(world: World, operations: Operations) -> None:
    world.everything_live()
    store = MemoryStore()
    for operation in [*operations, ("tick", 700), ("tick", 4_000), ("tick", 60_000)]:
        world.run([operation])
        for q, log in enumerate(world.logs):
            partition = await opened(world, store, q)
            await partition.process(incoming(log)[partition.mark.offset :])
            await partition.flush()
        await agree(world, store)


async def agree(world: World, store: MemoryStore) -> None:
    """Recomputed from history and evaluated in place, every membership is what the fold has made of it."""
    for q in range(PARTITIONS):
        loaded = await store.load(q)
        assert loaded is not None
        mark, catalog = loaded
        profiles = [profile for profile in world.customers() if int(profile[1:]) % PARTITIONS == q]
        live = await store.customers(q, profiles)
        past = await MemoryTimeline(world.rows, world.moved).history(profiles)
        for _, version in catalog.publishing():
            plan = explaining_plan(catalog, version)
            for profile in profiles:
                state = past.state(plan, profile, mark.seq + 1, mark.now)
                state.members = live[profile].members
                for key, segment in plan.segments.items():
                    truth = segment.truth(state, mark.now)
                    assert (key in live[profile].members) == truth, (profile, key)


@EXAMPLES
@given(definition_sets(), whole_history, st.integers(0, 2**32))
def test_any_cuts_crashes_and_roll_backs_give_byte_identical_transitions(
    definitions: Definitions, operations: Operations, seed: int
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await disturbed(world, seed)

    calm, stormy = asyncio.run(both())
    assert stormy.published == calm.published


@EXAMPLES
@given(definition_sets(), whole_history)
def test_without_ticks_the_same_transitions_come_with_the_same_stamps(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await undisturbed(world, ticks=False)

    with_ticks, without = asyncio.run(both())
    assert with_ticks.published == without.published
    assert with_ticks.positions == without.positions


@EXAMPLES
@given(definition_sets(), whole_history, st.integers(0, 100))
def test_a_rebuild_repeats_nothing_and_goes_on_with_the_next_number(
    definitions: Definitions, operations: Operations, cut: int
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def check() -> None:
        calm, again = await undisturbed(world), MemoryStore()
        for q in range(PARTITIONS):
            numbers = calm.published.get(q, {})
            seq = min(cut, len(numbers))
            published = Published(1, seq, calm.positions[q][seq] if seq else "", 0)
            timeline = MemoryTimeline(world.rows, world.moved)
            until, nothing = MemoryPublished(published), MemoryPublished(Published(1, 0, "", 0))
            partition = await rebuild(q, again, timeline, Recorder(), until, nothing, epoch=1, chunk=3)
            await partition.process(incoming(world.logs[q]))
            assert again.published.get(q, {}) == {n: value for n, value in numbers.items() if n > seq}
            assert await kept(again, q, like=calm) == await kept(calm, q)

    asyncio.run(check())


@EXAMPLES
@given(definition_sets(), dense_history)
def test_a_replay_gives_the_memberships_that_the_fold_gave(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations)
    store = asyncio.run(undisturbed(world))
    for q in range(PARTITIONS):
        asyncio.run(replayed(world, store, q))


@EXAMPLES
@given(definition_sets(), dense_history)
def test_definitions_made_after_the_events_have_the_same_members(
    definitions: Definitions, operations: Operations
) -> None:
    happened = [operation for operation in operations if operation[0] in {"event", "tick", "merge", "unmerge"}]
    before = World(pool=definitions[0]).everything_live().run(happened).tick()
    after = World(pool=definitions[0]).run(happened).everything_live().tick()

    async def check() -> None:
        early, late = await undisturbed(before), await undisturbed(after)
        for q in range(PARTITIONS):
            found = await members(late, q)
            assert {k: set(v) for k, v in found.items()} == {
                k: set(v) for k, v in (await members(early, q)).items()
            }

    asyncio.run(check())


async def replayed(world: World, store: MemoryStore, q: int) -> None:
    loaded = await store.load(q)
    assert loaded is not None
    profiles = await store.profile_ids(q)
    past = await MemoryTimeline(world.rows, world.moved).history(profiles, replayed=True)
    for profile, live in (await store.customers(q, profiles)).items():
        again = past.replay(profile, q, loaded[0].seq + 1, loaded[0].now).customers[profile]
        assert dict(again.members) == dict(live.members), profile


@EXAMPLES
@given(definition_sets(), whole_history)
def test_an_explanation_says_what_is_and_when_it_changes_by_itself(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(pool=definitions[0], edits=definitions[1]).everything_live().run(operations).tick()
    store = asyncio.run(undisturbed(world))
    for q in range(PARTITIONS):
        asyncio.run(explained(world, store, q))


async def explained(world: World, store: MemoryStore, q: int) -> None:
    loaded = await store.load(q)
    assert loaded is not None
    mark, catalog = loaded
    profiles = [profile for profile in world.customers() if int(profile[1:]) % PARTITIONS == q]
    past = await MemoryTimeline(world.rows, world.moved).history(profiles)
    for profile, live in (await store.customers(q, profiles)).items():
        for key, segment, plan in explained_by(catalog):
            asked = catalog.definitions()
            told = Explanation(plan, past, live, seq=mark.seq, now=mark.now, asked=asked).of(segment)
            assert told["result"] == (key in live.members)
            state = past.state(plan, profile, mark.seq + 1, mark.now)
            state.members = live.members
            change = told["next_change_at"]
            until = mark.now + 500_000 if change is None else parse_instant(change)
            assert segment.truth(state, until - 1) == told["result"]
            assert (segment.truth(state, until) != told["result"]) == (change is not None)


def explained_by(catalog: Catalog) -> Iterator[tuple[str, Segment, Plan]]:
    for _, version in catalog.publishing():
        plan = explaining_plan(catalog, version)
        yield from ((key, segment, plan) for key, segment in plan.segments.items())
