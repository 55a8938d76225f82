"""What a consumer sees that drops every messageId it has seen before, as DESIGN §3 tells it to."""

import asyncio

import msgspec
from hypothesis import given, settings

from tests.unit.segmenter.memory import MemoryStore
from tests.unit.segmenter.test_partition_properties import Operations, undisturbed
from tests.unit.segmenter.world import PARTITIONS, World, history

EXAMPLES = settings(max_examples=25, deadline=None)


@EXAMPLES
@given(history)
def test_no_two_transitions_share_a_message_id(operations: Operations) -> None:
    store = asyncio.run(undisturbed(World(lag=500).everything_live().run(operations).finish()))
    said = [change.message_id for change in store.transitions]
    assert len(said) == len(set(said))


@EXAMPLES
@given(history)
def test_deduplicated_changes_add_up_to_the_membership(operations: Operations) -> None:
    world = World(lag=500).everything_live().run(operations).finish()
    store = asyncio.run(undisturbed(world))
    assert believed(store) == asyncio.run(stored(store))


def believed(store: MemoryStore) -> set[tuple[str, str]]:
    seen: set[str] = set()
    members: set[tuple[str, str]] = set()
    for outputs in store.published.values():
        for _, value in sorted(outputs.items()):
            change = msgspec.json.decode(value)
            if change["messageId"] in seen:
                continue
            seen.add(change["messageId"])
            member = change["profile"]["id"], change["properties"]["segment_id"]
            (members.add if change["properties"]["action"] == "entered" else members.discard)(member)
    return members


async def stored(store: MemoryStore) -> set[tuple[str, str]]:
    members = set()
    for q in range(PARTITIONS):
        known = await store.customers(q, await store.profile_ids(q))
        members |= {(profile, key) for profile, customer in known.items() for key in customer.members}
    return members
