"""Any set of definitions, edited, paused and deleted in the middle of the stream, against the naive evaluator."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.segmenter.memory import MemoryStore
from tests.unit.segmenter.random_definitions import definition_sets
from tests.unit.segmenter.test_partition_properties import (
    Operations,
    agree_after_every_record,
    disturbed,
    undisturbed,
)
from tests.unit.segmenter.world import World, history

EXAMPLES = settings(max_examples=60, deadline=None)
Definitions = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@EXAMPLES
@given(definition_sets(), history)
def test_membership_is_what_a_naive_evaluation_says_after_every_record(
    definitions: Definitions, operations: Operations
) -> None:
    world = World(pool=definitions[0], edits=definitions[1])
    asyncio.run(agree_after_every_record(world, operations))


@EXAMPLES
@given(definition_sets(), history, st.integers(0, 2**32))
def test_any_cuts_crashes_and_roll_backs_give_byte_identical_transitions(
    definitions: Definitions, operations: Operations, seed: int
) -> None:
    world = World(lag=500, pool=definitions[0], edits=definitions[1]).everything_live().run(operations).finish()

    async def both() -> tuple[MemoryStore, MemoryStore]:
        return await undisturbed(world), await disturbed(world, seed)

    calm, stormy = asyncio.run(both())
    assert stormy.published == calm.published
