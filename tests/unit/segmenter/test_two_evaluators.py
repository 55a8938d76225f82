"""The fold and the batch evaluator, written apart, agree at every instant on random definitions and histories.

By hand with more cases: `HEADRACE_TEST_CASES=10000 python -m pytest tests/unit/segmenter/test_two_evaluators.py`.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.profile_event import ControlRow, ProfileRow
from headrace.contracts.segment import SegmentDefinition, parse_segment
from services.segmenter.batch.customer import Subject, subject
from services.segmenter.batch.evaluator import Evaluator
from tests.unit.segmenter.memory import MemoryStore
from tests.unit.segmenter.test_partition_properties import Operations, incoming, opened
from tests.unit.segmenter.whole_language import definition_sets
from tests.unit.segmenter.world import PARTITIONS, World, dense_history

CASES = settings(max_examples=int(os.environ.get("HEADRACE_TEST_CASES", "150")), deadline=None)
Definitions = tuple[list[dict[str, Any]], list[dict[str, Any]]]
LAST = (("tick", 700), ("tick", 4_000), ("tick", 60_000))


@CASES
@given(definition_sets(), dense_history, st.sampled_from([0, 0, 600, 5_000]))
def test_the_fold_and_the_batch_evaluator_agree_after_every_record(
    definitions: Definitions, operations: Operations, lag: int
) -> None:
    """`lag`: how much later than `now` the events are that have just come."""
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
        written = Written(world)
        for profile in world.customers():
            await agree(world, store, profile, written)


async def agree(world: World, store: MemoryStore, profile: str, written: "Written") -> None:
    q = int(profile[1:]) % PARTITIONS
    loaded = await store.load(q)
    assert loaded is not None
    live = (await store.customers(q, [profile]))[profile].members
    paused: Mapping[str, Callable[[str], bool]] = {
        key: partial(_among, live, key) for key in _segments(world.live[one] for one in world.paused)
    }
    evaluator = Evaluator(_segments(world.live.values()), cuts=world.cuts, frozen=paused)
    customer = written.subject(profile, loaded[0].seq)
    for key in _segments(world.evaluated().values()):
        expected = evaluator.member(key, customer, loaded[0].now)
        assert (key in live) == expected, (profile, key, loaded[0].now)


class Written:
    """Everybody's rows, as the batch evaluator reads them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: dict[str, list[ProfileRow]] = {}
        for row in (row for written in world.rows for row in written if not isinstance(row, ControlRow)):
            self._rows.setdefault(row.profile_id, []).append(row)
        self._moved = {unmerge: [row for _, row in some] for unmerge, some in world.moved.items()}

    def subject(self, profile: str, upto: int) -> Subject:
        """The customer, with the events that it should have."""
        found = subject(profile, self._rows, upto, self._moved)
        assert sorted(map(id, found.events)) == sorted(map(id, self._world.events_of(profile)))
        return found


def _among(live: Mapping[str, Any], key: str, profile_id: str) -> bool:
    return key in live


def _segments(documents: Iterable[dict[str, Any]]) -> dict[str, SegmentDefinition]:
    return {segment.id: segment for document in documents for segment in parse_segment(document).segments()}
