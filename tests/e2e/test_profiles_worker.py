"""Events in, rows out, on a real Postgres and a real log (DESIGN §4)."""

from collections.abc import AsyncIterator

import pytest

from headrace.contracts.profile_event import EventRow, MergeRow, TombstoneRow
from tests.e2e.profiles_rig import PARTITIONS, T0, Rig, dense, event, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url) as rig:
        yield rig


async def test_an_event_becomes_a_row_and_a_profile(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event("identify", user="u1", traits={"email": " Jana@Example.COM ", "plan": "gold"}))
        await rig.processed()
    [profile] = await rig.profiles()
    assert profile["user_id"] == "u1"
    assert profile["traits"] == {"email": " Jana@Example.COM ", "plan": "gold"}
    assert profile["identifiers"] == [
        {"type": "email", "value": "jana@example.com"},
        {"type": "user_id", "value": "u1"},
    ]
    [row] = await rig.rows()
    assert isinstance(row, EventRow)
    assert (row.profile_id, row.user_id, row.ts) == (profile["id"], "u1", T0)
    assert row.traits == profile["traits"]


async def test_a_message_id_counts_once_whatever_batch_or_partition_it_comes_in(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(user="u1", message_id="m1"), event(user="u1", message_id="m1"), q=0)
        await rig.processed()
        await rig.send(event(user="u1", message_id="m1"), q=1)
        await rig.send(event(user="u1", message_id="m1", name="Other"), q=1)
        await rig.processed()
    assert len(await rig.rows()) == 1


async def test_an_anonymous_visitor_who_logs_in_becomes_one_customer(rig: Rig) -> None:
    async with rig.worker():
        await rig.send(event(anonymous="a1", at=T0), event("identify", user="u1", traits={"plan": "gold"}))
        await rig.processed()
        await rig.send(event("identify", user="u1", anonymous="a1", at=T0 + 5))
        await rig.processed()
    [profile] = await rig.profiles()
    assert await rig.people() == {frozenset({("anonymous_id", "a1"), ("user_id", "u1")})}
    rows = await rig.rows()
    [tombstone] = [row for row in rows if isinstance(row, TombstoneRow)]
    [merge] = [row for row in rows if isinstance(row, MergeRow)]
    assert (tombstone.into, merge.profile_id) == (profile["id"], profile["id"])
    assert (merge.loser, merge.loser_seq) == (tombstone.profile_id, tombstone.seq)
    assert merge.time == tombstone.time
    for q in range(PARTITIONS):
        assert dense(await rig.published(q))
