"""Computed traits on random definitions and histories: two evaluators agree, and nothing depends on batches,
crashes or rebuilds.

By hand with more cases: `HEADRACE_TEST_CASES=10000 python -m pytest` of this file.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.segment import SegmentDefinition, parse_segment
from headrace.contracts.trait import TraitDefinition, parse_trait
from headrace.runtime.publisher import Published
from services.segmenter.batch.customer import Subject
from services.segmenter.batch.evaluator import Evaluator
from services.segmenter.customer import Customer
from services.segmenter.paths import decode_json
from services.segmenter.rebuild import rebuild
from tests.unit.segmenter.memory import MemoryPublished, MemoryStore, MemoryTimeline, Recorder
from tests.unit.segmenter.random_traits import trait_sets
from tests.unit.segmenter.test_partition_properties import (
    Operations,
    disturbed,
    incoming,
    kept,
    opened,
    undisturbed,
)
from tests.unit.segmenter.world import PARTITIONS, World, dense_history, whole_history

CASES = settings(max_examples=int(os.environ.get("HEADRACE_TEST_CASES", "100")), deadline=None)
EXAMPLES = settings(max_examples=int(os.environ.get("HEADRACE_TEST_CASES", "40")), deadline=None)
Definitions = tuple[list[dict[str, Any]], list[dict[str, Any]]]
LAST = (("tick", 700), ("tick", 4_000), ("tick", 60_000), ("tick", 200_000_000))


@CASES
@given(trait_sets(), dense_history, st.sampled_from([0, 0, 600, 5_000]))
def test_the_fold_and_the_batch_evaluator_agree_after_every_record(
    definitions: Definitions, operations: Operations, lag: int
) -> None:
    world = World(pool=definitions[0], edits=definitions[1], lag=lag).everything_live()
    asyncio.run(agree_after_every_record(world, operations))


async def agree_after_every_record(world: World, operations: Operations) -> None:
    store = MemoryStore()
    for operation in (*operations, *LAST):
        world.run([operation])
        for q, log in enumerate(world.logs):
            partition = await opened(world, store, q)
            await partition.process(incoming(log)[partition.mark.offset :])
            await partition.flush()
        for profile in world.customers():
            await agree(world, store, profile)


async def agree(world: World, store: MemoryStore, profile: str) -> None:
    """Values, what is published of them, and membership."""
    q = int(profile[1:]) % PARTITIONS
    loaded = await store.load(q)
    assert loaded is not None
    customer = (await store.customers(q, [profile]))[profile]
    live = customer.members
    traits = _traits(world)
    frozen: Mapping[str, Callable[[str], bool]] = {
        key: partial(_among, live, key) for key in world.paused if not key.startswith("trait:")
    }
    evaluator = Evaluator(_segments(world.live), cuts=world.cuts, frozen=frozen, computed=traits)
    subject = Subject(profile, world.events_of(profile), world.own_rows(profile))
    for key, definition in traits.items():
        expected = evaluator.value(definition, subject, loaded[0].now)
        assert shown(customer, key) == expected, (profile, key, loaded[0].now)
    assert customer.computed.keys() <= traits.keys()
    for key in _segments(world.evaluated()):
        truth = evaluator.member(key, subject, loaded[0].now)
        assert (key in live) == truth, (profile, key, loaded[0].now)


def shown(customer: Customer, key: str) -> Any:
    """What is published of a trait."""
    return decode_json(customer.computed[key][2]) if key in customer.computed else None


@EXAMPLES
@given(trait_sets(), whole_history, st.integers(0, 2**32))
def test_any_cuts_crashes_and_roll_backs_give_byte_identical_records(
    definitions: Definitions, operations: Operations, seed: int
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await disturbed(world, seed)

    calm, stormy = asyncio.run(both())
    assert stormy.computed == calm.computed
    assert stormy.published == calm.published


@EXAMPLES
@given(trait_sets(), whole_history)
def test_without_ticks_the_same_records_come_with_the_same_positions(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await undisturbed(world, ticks=False)

    with_ticks, without = asyncio.run(both())
    assert with_ticks.computed == without.computed
    assert with_ticks.computed_positions == without.computed_positions
    assert with_ticks.published == without.published


@EXAMPLES
@given(trait_sets(), whole_history, st.integers(0, 100), st.integers(0, 100))
def test_a_rebuild_repeats_nothing_and_goes_on_with_the_next_number(
    definitions: Definitions, operations: Operations, cut: int, computed_cut: int
) -> None:
    """However far each of the two topics had come."""
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def check() -> None:
        calm, again = await undisturbed(world), MemoryStore()
        for q in range(PARTITIONS):
            segments, seq = _published(calm.published.get(q, {}), calm.positions.get(q, {}), cut)
            traits, made = _published(calm.computed.get(q, {}), calm.computed_positions.get(q, {}), computed_cut)
            timeline = MemoryTimeline(world.rows, world.moved)
            partition = await rebuild(q, again, timeline, Recorder(), segments, traits, epoch=1, chunk=3)
            await partition.process(incoming(world.logs[q]))
            assert again.published.get(q, {}) == {
                n: one for n, one in calm.published.get(q, {}).items() if n > seq
            }
            assert again.computed.get(q, {}) == {n: one for n, one in calm.computed.get(q, {}).items() if n > made}
            assert await kept(again, q, like=calm) == await kept(calm, q)

    asyncio.run(check())


@EXAMPLES
@given(trait_sets(), dense_history)
def test_definitions_made_after_the_events_have_the_same_values_and_members(
    definitions: Definitions, operations: Operations
) -> None:
    told = [one for one in operations if one[0] in {"event", "tick", "merge"}]
    before = World(pool=definitions[0]).everything_live().run(told).tick()
    after = World(pool=definitions[0]).run(told).everything_live().tick()

    async def check() -> None:
        early, late = await undisturbed(before), await undisturbed(after)
        for q in range(PARTITIONS):
            known = await early.customers(q, await early.profile_ids(q))
            others = await late.customers(q, await late.profile_ids(q))
            assert _values(known) == _values(others)
            assert {key: {*one.members} for key, one in known.items()} == {
                key: {*one.members} for key, one in others.items()
            }

    asyncio.run(check())


def _published(
    numbers: Mapping[int, bytes], positions: Mapping[int, str], cut: int
) -> tuple[MemoryPublished, int]:
    seq = min(cut, len(numbers))
    return MemoryPublished(Published(1, seq, positions[seq] if seq else "", 0)), seq


def _behind(numbers: Mapping[int, bytes], seq: int) -> dict[int, bytes]:
    return {number: value for number, value in numbers.items() if number > seq}


def _values(customers: Mapping[str, Customer]) -> dict[str, dict[str, bytes]]:
    return {who: {key: one[2] for key, one in each.computed.items()} for who, each in customers.items()}


def _among(live: Mapping[str, Any], key: str, profile_id: str) -> bool:
    return key in live


def _traits(world: World) -> dict[str, TraitDefinition]:
    found = [parse_trait(document) for key, document in world.live.items() if key.startswith("trait:")]
    return {definition.id: definition for definition in found}


def _segments(documents: Mapping[str, dict[str, Any]]) -> dict[str, SegmentDefinition]:
    segments = [document for key, document in documents.items() if not key.startswith("trait:")]
    return {segment.id: segment for document in segments for segment in parse_segment(document).segments()}
