"""Unmerges on real engines: both customers are members by their own events, and nobody hears of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.e2e.parted import join, lead, part
from tests.e2e.segmenter_rig import Rig, Running, eventually, segmenter_rig

DEFINITIONS: dict[str, Any] = {
    "two": {"event": {"name": "Order Completed", "count": {"gte": 2}}},
    "one": {"event": {"name": "Order Completed", "count": {"eq": 1}}},
    "recent": {"event": {"name": "Order Completed", "within": "10s"}},
    "brno": {"trait": {"name": "city", "eq": "Brno"}},
    "sms": {"consent": {"channel": "sms"}},
    "both": {"all": [{"segment": {"id": "one"}}, {"segment": {"id": "recent"}}]},
}
Definitions = list[dict[str, Any]]


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


def are(running: Running, **members: set[str]) -> Callable[[], Awaitable[bool]]:
    async def met() -> bool:
        return all([await running.memberships(profile) == wanted for profile, wanted in members.items()])

    return met


async def everything_live(rig: Rig, running: Running) -> None:
    for key, when in DEFINITIONS.items():
        await rig.live(running.api, key, when)


async def two_who_were_one(rig: Rig) -> None:
    """`p1`, into whom `p2` has gone, loses what `p2` had, and one event of its own, to `p3`."""
    await rig.event("p1", user_id="ann", traits={"city": "Brno"})
    wrong = await rig.event("p1", "Product Added", anonymous_id="tablet")
    other = await rig.event("p2", anonymous_id="tablet", consents={"sms": "granted"})
    await join(rig, "p2", "p1", consents={"sms": "granted"})
    rig.time += 1_000
    await part(
        rig,
        "p1",
        "p3",
        [wrong, other],
        stays={"consents": {"sms": None}, "user_id": "ann"},
        goes={"consents": {"sms": "granted"}},
    )
    await lead(rig, "p2", "p3")


async def reasons(rig: Rig, profile: str) -> list[tuple[str, str, str]]:
    """What was published of a customer: segment, action and reason."""
    found = []
    for record in await rig.change_records():
        change = msgspec.json.decode(record.value or b"")
        if change["profile"]["id"] == profile:
            properties = change["properties"]
            found.append((properties["segment_id"], properties["action"], properties["reason"]))
    return found


async def verified(running: Running) -> None:
    for key in DEFINITIONS:
        found = (await running.api.post(f"/v1/segments/{key}/verify")).json()
        assert (found["mismatches"], found["skipped"]) == (0, 0), found["examples"]
        assert found["checked"]


async def test_both_are_members_by_their_own_events(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await everything_live(rig, running)
        await two_who_were_one(rig)
        await eventually(are(running, p1={"one", "recent", "both", "brno"}, p3={"one", "recent", "both", "sms"}))
        assert await running.memberships("p2") == await running.memberships("p3")

        async def published() -> bool:
            new, old = await reasons(rig, "p3"), await reasons(rig, "p1")
            return len(new) == 4 and ("both", "entered", "unmerge") in old

        await eventually(published)
        assert {reason for _, _, reason in await reasons(rig, "p3")} == {"unmerge"}
        parted = {found[:2] for found in await reasons(rig, "p1") if found[2] == "unmerge"}
        assert parted == {("one", "entered"), ("both", "entered"), ("sms", "exited"), ("two", "exited")}
        await verified(running)
        await rig.tick(8_999)
        await rig.tick(1)  # the two events are ten seconds old, whoever had them then
        await eventually(are(running, p1={"one", "brno"}, p3={"one", "sms"}))
        await verified(running)


async def test_an_emptied_redis_is_rebuilt_with_the_unmerge_and_nothing_is_said_twice(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await everything_live(rig, running)
        await two_who_were_one(rig)
        await rig.event("p3")
        await join(rig, "p3", "p1")
        rig.time += 1_000
        await rig.event("p4")
        await eventually(are(running, p1={"two", "recent", "brno"}, p4={"one", "recent", "both"}))
        await eventually(lambda: settled(rig))
    before = [(record.partition, record.value, record.headers) for record in await rig.change_records()]
    await rig.redis.flushdb()
    async with rig.segmenter() as running:
        await eventually(are(running, p1={"two", "recent", "brno"}, p4={"one", "recent", "both"}))
        await verified(running)
        assert [(r.partition, r.value, r.headers) for r in await rig.change_records()] == before


async def settled(rig: Rig) -> bool:
    return ("both", "entered", "event") in await reasons(rig, "p4")


async def test_a_definition_made_afterwards_has_the_same_members(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await two_who_were_one(rig)
        await everything_live(rig, running)
        await eventually(are(running, p1={"one", "recent", "both", "brno"}, p3={"one", "recent", "both", "sms"}))
        await verified(running)
        why = (await running.api.get("/v1/segments/one/explain/p3")).json()
        assert (why["member"], why["result"]) == (True, True)
        assert {record["segment_id"] for record in await intervals(running, "p2")} >= {"one", "recent"}


async def intervals(running: Running, profile: str) -> Definitions:
    found: Definitions = []

    async def followed() -> bool:
        found[:] = (await running.api.get(f"/v1/profiles/{profile}/segment-history")).json()["items"]
        return len(found) >= 4

    await eventually(followed)
    return found


async def test_an_unmerge_of_what_an_unmerge_made_and_all_together_again(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await everything_live(rig, running)
        await two_who_were_one(rig)
        third = await rig.event("p3")
        await part(rig, "p3", "p5", [third], stays={"consents": {"sms": None}})
        await eventually(are(running, p3={"one", "recent", "both"}, p5={"one", "recent", "both"}))
        await verified(running)
        await join(rig, "p3", "p5")
        await join(rig, "p1", "p5", traits={"city": "Brno"})
        await eventually(are(running, p5={"two", "recent", "brno"}))
        await verified(running)
