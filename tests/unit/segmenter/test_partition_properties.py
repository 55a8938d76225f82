"""The fold's promises on random histories: late events, timers, merges, definitions in the middle."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.profile_event import ProfileEvent, Tick
from headrace.runtime.publisher import Published
from services.segmenter.change import person
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.customer import Customer
from services.segmenter.history import plan_of
from services.segmenter.partition import Partition
from services.segmenter.rebuild import catch_up, rebuild
from tests.unit.segmenter import naive
from tests.unit.segmenter.memory import MemoryPublished, MemoryStore, MemoryTimeline, Recorder
from tests.unit.segmenter.world import PARTITIONS, World, history

Operations = Sequence[tuple[Any, ...]]
EXAMPLES = settings(max_examples=40, deadline=None)


def incoming(log: Sequence[ProfileEvent]) -> list[Incoming]:
    return [Incoming(row, offset + 1) for offset, row in enumerate(log)]


async def opened(world: World, store: MemoryStore, q: int, chunk: int = 500) -> Partition:
    timeline = MemoryTimeline(world.rows, world.moved)
    if await store.load(q) is None:
        await store.reset(q, Watermark(epoch=1))
    partition = await Partition.opened(q, store, timeline, Recorder(), chunk=chunk)
    assert partition is not None
    return partition


async def undisturbed(world: World, *, ticks: bool = True) -> MemoryStore:
    """Everything in one batch a partition."""
    store = MemoryStore()
    for q, log in enumerate(world.logs):
        records = [
            record
            for i, record in enumerate(incoming(log))
            if ticks or not isinstance(record.row, Tick) or i == len(log) - 1
        ]
        partition = await opened(world, store, q)
        await partition.process(records)
        await partition.flush()
    return store


async def disturbed(world: World, seed: int) -> MemoryStore:
    """Random batch cuts and chunk sizes; crashes that lose what was not committed, or the last commits."""
    chance = random.Random(seed)
    store = MemoryStore()
    for q, log in enumerate(world.logs):
        records = incoming(log)
        partition = await opened(world, store, q, chance.randint(1, 4))
        faults = 12
        while partition.mark.offset < len(records):
            size = chance.randint(1, 6)
            await partition.process(records[partition.mark.offset : partition.mark.offset + size])
            if chance.random() < 0.3:
                await partition.backfill()
            if faults and chance.random() < 0.4:
                faults -= 1
                store.roll_back(q, chance.randint(0, 5))
                partition = await opened(world, store, q, chance.randint(1, 4))
        await partition.flush()
    return store


@EXAMPLES
@given(history, st.integers(0, 2**32))
def test_any_cuts_crashes_and_roll_backs_give_byte_identical_transitions(
    operations: Operations, seed: int
) -> None:
    world = World(lag=500).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await disturbed(world, seed)

    calm, stormy = asyncio.run(both())
    assert stormy.published == calm.published
    for q in range(PARTITIONS):
        assert stormy.states[q][-1][0].transitions == calm.states[q][-1][0].transitions
        assert asyncio.run(calm.profile_ids(q)) == asyncio.run(stormy.profile_ids(q))


@EXAMPLES
@given(history)
def test_without_ticks_the_same_transitions_come_with_the_same_stamps(operations: Operations) -> None:
    world = World(lag=500).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await undisturbed(world, ticks=False)

    with_ticks, without = asyncio.run(both())
    assert with_ticks.published == without.published
    assert with_ticks.positions == without.positions


@EXAMPLES
@given(history)
def test_membership_is_what_a_naive_evaluation_says_after_every_record(operations: Operations) -> None:
    asyncio.run(agree_after_every_record(World(), operations))


async def agree_after_every_record(world: World, operations: Operations) -> None:
    world.everything_live()
    store = MemoryStore()
    for operation in [*operations, ("tick", 60_000)]:
        world.run([operation])
        for q, log in enumerate(world.logs):
            partition = await opened(world, store, q)
            await partition.process(incoming(log)[partition.mark.offset :])
            await partition.flush()
        await agree(world, store)


async def agree(world: World, store: MemoryStore) -> None:
    entries: list[str] = []
    for profile in world.customers():
        q = int(profile[1:]) % PARTITIONS
        customer = (await store.customers(q, [profile]))[profile]
        loaded = await store.load(q)
        assert loaded is not None
        for key, definition in world.evaluated().items():
            events, traits = world.events_of(profile), world.traits_of(profile)
            expected = naive.member(definition, events, traits, loaded[0].now)
            assert (key in customer.members) == expected, (profile, key)
        entries += [customer.members[key].entry_id for key in customer.members]
    assert len(entries) == len(set(entries)), "an entry is one customer's"


@EXAMPLES
@given(history, st.integers(0, 100))
def test_a_rebuild_repeats_nothing_and_goes_on_with_the_next_number(operations: Operations, cut: int) -> None:
    world = World(lag=500).everything_live().run(operations).finish()

    async def check() -> None:
        calm = await undisturbed(world)
        again = MemoryStore()
        for q in range(PARTITIONS):
            numbers = calm.published.get(q, {})
            seq = min(cut, len(numbers))
            published = Published(1, seq, calm.positions[q][seq] if seq else "", 0)
            timeline = MemoryTimeline(world.rows, world.moved)
            until, nothing = MemoryPublished(published), MemoryPublished(Published(1, 0, "", 0))
            partition = await rebuild(q, again, timeline, Recorder(), until, nothing, epoch=1, chunk=3)
            await partition.process(incoming(world.logs[q]))
            expected = {number: value for number, value in numbers.items() if number > seq}
            assert again.published.get(q, {}) == expected
            assert await kept(again, q, like=calm) == await kept(calm, q)

    asyncio.run(check())


@EXAMPLES
@given(history)
def test_recomputing_a_customer_gives_the_memberships_it_has(operations: Operations) -> None:
    world = World(lag=500).everything_live().run(operations)

    async def check() -> None:
        store = await undisturbed(world)
        for q in range(PARTITIONS):
            loaded = await store.load(q)
            assert loaded is not None
            profiles = await store.profile_ids(q)
            past = await MemoryTimeline(world.rows, world.moved).history(profiles, replayed=True)
            for profile in profiles:
                replayed = past.replay(profile, q, loaded[0].seq + 1, loaded[0].now)
                assert replayed.customers[profile].members == (await members(store, q))[profile]

    asyncio.run(check())


@EXAMPLES
@given(
    st.lists(
        history.map(lambda ops: [op for op in ops if op[0] in {"event", "tick", "merge", "unmerge"}]), max_size=2
    )
)
def test_a_definition_made_after_the_events_has_the_same_members(parts: list[Operations]) -> None:
    operations = [operation for part in parts for operation in part]
    before = World().everything_live().run(operations).tick()
    after = World().run(operations).everything_live().tick()

    async def check() -> None:
        early, late = await undisturbed(before), await undisturbed(after)
        for q in range(PARTITIONS):
            assert {k: set(v) for k, v in (await members(early, q)).items()} == {
                k: set(v) for k, v in (await members(late, q)).items()
            }

    asyncio.run(check())


@EXAMPLES
@given(history, st.integers(0, 40))
def test_catching_up_from_the_timeline_is_the_same_as_reading_the_log(operations: Operations, cut: int) -> None:
    world = World(lag=500).everything_live().run(operations).finish()

    async def check() -> None:
        calm, other = await undisturbed(world), MemoryStore()
        for q, log in enumerate(world.logs):
            partition = await opened(world, other, q, 3)
            await partition.process(incoming(log)[:cut])
            await catch_up(q, partition, MemoryTimeline(world.rows, world.moved))
            await partition.process(incoming(log)[cut:])
        assert other.published == calm.published

    asyncio.run(check())


async def kept(store: MemoryStore, q: int, *, like: MemoryStore | None = None) -> dict[str, Any]:
    """All that is known of each customer and that some definition still needs: of the others each customer is rid
    when it is next looked at. Of events only the sums: what no window sees is dropped in passing. `like` says
    which versions are complete."""
    loaded = await (like or store).load(q)
    assert loaded is not None
    mark, catalog = loaded
    unready = {key for key, version in catalog.pending() if mark.ready.get(key) != version.number}
    plan = plan_of(catalog.without_pending(unready))
    known = await store.customers(q, await store.profile_ids(q))
    return {
        key: (_person(customer, plan.kept_traits), dict(_sums(customer, plan.atoms.keys())))
        for key, customer in known.items()
    }


def _person(customer: Customer, needed: AbstractSet[str]) -> tuple[Any, ...]:
    traits = {name: value for name, value in customer.traits.items() if name in needed}
    return person(customer), traits, customer.members, customer.left, customer.due


def _sums(customer: Customer, needed: AbstractSet[str]) -> Iterator[tuple[str, Any]]:
    for key in customer.journal_keys():
        journal = customer.opened(key)
        for atom in needed & set(journal.atom_ids()):
            state = journal.opened(atom)
            yield atom, (state.seen, state.total, journal.dues.get(atom))


async def members(store: MemoryStore, q: int) -> dict[str, Any]:
    known = await store.customers(q, await store.profile_ids(q))
    return {key: customer.members for key, customer in known.items()}
