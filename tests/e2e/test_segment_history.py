"""What the segmenter remembers of its own changes: sizes over time, members of the past, each customer's past."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from headrace.contracts.instant import format_instant
from headrace.contracts.profile_event import MergeRow, TombstoneRow
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, T0, Rig, Running, eventually, segmenter_rig

TWO_ORDERS = {"event": {"name": "Order Completed", "count": {"gte": 2}}}
RECENT = {"event": {"name": "Order Completed", "within": "1h"}}
SINGLE = {"event": {"name": "Order Completed", "count": {"between": [1, 1]}}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_sizes_over_time_and_of_the_last_day(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        for profile in ("p1", "p2", "p3"):
            await rig.event(profile)
        await followed(rig, 3)
        await rig.tick(HOUR)  # everybody leaves
        await followed(rig, 6)
        await rig.tick(30 * HOUR)
        await rig.event("p1")
        await followed(rig, 7)

        begin = format_instant(rig.time - 32 * HOUR)
        items = await get(running.api, "/v1/segments/recent/history", **{"from": begin, "step": "hour"})
        first = T0 - T0 % HOUR
        moved = {item["at"]: (item["size"], item["entered"], item["exited"]) for item in items["items"]}
        assert moved[format_instant(first)] == (3, 3, 0)
        assert moved[format_instant(first + HOUR)] == (0, 0, 3)
        assert moved[format_instant(first + 31 * HOUR)] == (1, 1, 0)
        assert [item["at"] for item in items["items"]] == sorted(moved)
        assert sum(item["entered"] for item in items["items"]) == 4
        reasons = next(item["reasons"] for item in items["items"] if item["exited"])
        assert reasons == {"time": {"entered": 0, "exited": 3}}
        days = (await get(running.api, "/v1/segments/recent/history", step="day"))["items"]
        assert [(day["size"], day["entered"], day["exited"]) for day in days][-2:] == [(0, 3, 3), (1, 1, 0)]

        one = await get(running.api, "/v1/segments/recent")
        (listed,) = (await get(running.api, "/v1/segments"))["items"]
        assert [(s["size"], s["added_24h"], s["dropped_24h"]) for s in (one, listed)] == [(1, 1, 0)] * 2


async def test_the_last_day_is_exact_to_the_millisecond(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        await rig.event("p1")  # enters at T0, leaves an hour later
        await rig.tick(HOUR)
        await followed(rig, 2)
        await rig.tick(23 * HOUR - 1)
        assert await last_day(running) == (1, 1)
        await rig.tick(1)
        assert await last_day(running) == (0, 1)
        await rig.tick(HOUR - 1)
        assert await last_day(running) == (0, 1)
        await rig.tick(1)
        assert await last_day(running) == (0, 0)


async def test_members_as_of_a_past_instant(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        for number in range(5):
            await rig.event(f"p{number}")
            await rig.tick(60_000)
        await followed(rig, 5)
        await rig.tick(HOUR)
        await followed(rig, 10)
        path = "/v1/segments/recent/members"
        for at, expected in (
            (T0 - 1, set[str]()),
            (T0, {"p0"}),
            (T0 + 150_000, {"p0", "p1", "p2"}),
            (T0 + HOUR - 1, {"p0", "p1", "p2", "p3", "p4"}),
            (T0 + HOUR, {"p1", "p2", "p3", "p4"}),
        ):
            page = await get(running.api, path, at=format_instant(at))
            assert ({item["profile_id"] for item in page["items"]}, page["count"]) == (expected, len(expected)), at
        instant = format_instant(T0 + HOUR - 1)
        first = await get(running.api, path, at=instant, limit="3")
        rest = await get(running.api, path, at=instant, limit="3", cursor=first["next"])
        assert [item["profile_id"] for item in first["items"] + rest["items"]] == [f"p{n}" for n in range(5)]
        assert (first["count"], rest["count"], rest["next"]) == (5, 5, None)
        assert first["items"][0]["entered_at"] == format_instant(T0)
        for wrong in (format_instant(rig.time + 1), "yesterday"):
            answer = await running.api.get(path, params={"at": wrong})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_instant")


async def test_a_customer_who_leaves_and_enters_has_an_interval_each_time(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        first = await rig.event("p1")
        await rig.tick(HOUR)
        await rig.event("p1")
        await followed(rig, 3)
        path = "/v1/profiles/p1/segment-history"
        now, before = (await get(running.api, path))["items"]
        assert (now["exited_at"], now["entered_at"]) == (None, format_instant(T0 + HOUR))
        assert before["entered_at"] == format_instant(T0)
        assert before["exited_at"] == format_instant(T0 + HOUR)
        assert (before["entered_reason"], before["exited_reason"]) == ("event", "time")
        assert before["cause_message_id"] == first.message_id
        assert before["entry_id"] != now["entry_id"]
        page = await get(running.api, path, limit="1")
        rest = await get(running.api, path, limit="1", cursor=page["next"])
        assert page["items"] + rest["items"] == [now, before]
        assert (await running.api.get("/v1/profiles/p999/segment-history")).status_code == 404
        assert (await running.api.get("/v1/profiles/a%00b/segment-history")).status_code == 404


async def test_a_merge_hands_the_membership_over_with_its_entry(rig: Rig) -> None:
    loser, winner = "p1", "p2"
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event(loser)
        await rig.event(loser)
        await followed(rig, 1)
        rig.time += 1
        await merge(rig, loser, winner)
        await followed(rig, 3)
        await rig.pool.execute("INSERT INTO profiles.alias VALUES ($1, $2)", loser, winner)
        asked = [(await get(running.api, f"/v1/profiles/{p}/segment-history"))["items"] for p in (loser, winner)]
        assert asked[0] == asked[1]
        held, handed_over = asked[0]
        assert (held["profile_id"], held["entered_reason"], held["exited_at"]) == (winner, "merge", None)
        assert (handed_over["profile_id"], handed_over["exited_reason"]) == (loser, "merge")
        assert held["entry_id"] == handed_over["entry_id"]
        assert held["entered_at"] == handed_over["exited_at"] == format_instant(rig.time)
        assert (await get(running.api, "/v1/segments/two-orders/members", at=format_instant(rig.time)))[
            "count"
        ] == 1


async def test_two_members_who_merge_are_one_and_leave_as_one(rig: Rig) -> None:
    """The winner goes on under the loser's entry, which is the earlier, and leaves under it."""
    loser, winner = "p1", "p2"
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        await rig.event(loser)
        rig.time += 1
        await rig.event(winner)
        await followed(rig, 2)
        await merge(rig, loser, winner)
        await followed(rig, 3)
        assert (await get(running.api, "/v1/segments/recent/members", at=format_instant(rig.time)))["count"] == 1
        await rig.tick(HOUR)
        await followed(rig, 4)
        kept_of = {profile: (begin - T0, end - T0) for _, profile, _, begin, end in await kept(rig)}
        assert kept_of == {loser: (0, 1), winner: (1, HOUR + 1)}


async def test_an_exit_for_each_entry_of_a_merge_ends_the_membership_once(rig: Rig) -> None:
    loser, winner = "p1", "p2"
    async with rig.segmenter() as running:
        await rig.live(running.api, "single", SINGLE)
        await rig.event(loser)
        rig.time += 1
        await rig.event(winner)
        await followed(rig, 2)
        rig.time += 1
        await merge(rig, loser, winner)  # two orders together: out, with an exit for each entry
        await followed(rig, 5)
        assert await rig.pool.fetchval("SELECT count(*) FROM membership_interval") == 2
        assert await rig.pool.fetchval("SELECT count(*) FROM membership_interval WHERE exited_at IS NULL") == 0
        items = (await get(running.api, "/v1/segments/single/history"))["items"]
        assert (items[-1]["size"], items[-1]["entered"], items[-1]["exited"]) == (0, 2, 2)


async def test_a_rebuild_and_a_republication_add_nothing(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        for number in range(6):
            await rig.event(f"p{number}")
            await rig.event(f"p{number}")
        await followed(rig, 6)
        before = await kept(rig)
        for q in range(PARTITIONS):
            assert (
                await running.api.post("/v1/republish", json={"partition": q, "from_seq": 1})
            ).status_code == 200
        await rig.redis.flushdb()
    async with rig.segmenter() as running:
        await running.api.post("/v1/rebuild", json={})
        await rig.event("p9")
        await rig.event("p9")
        await followed(rig, 7)
        after = await kept(rig)
        assert len(after) == 7
        assert [row for row in after if row[1] != "p9"] == before


async def test_what_the_relay_publishes_is_followed_at_once(rig: Rig) -> None:
    """Nobody looks for an hour."""
    async with rig.segmenter() as running:
        running.service.worker.followers.check = 3_600.0
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        for profile in ("p1", "p2", "p3"):
            await rig.event(profile)
            await rig.event(profile)
        await followed(rig, 3)
        assert len(await kept(rig)) == 3


async def test_a_handler_that_fails_is_called_again_and_nothing_is_kept_twice(rig: Rig) -> None:
    failing = Failing(times=2)
    async with rig.segmenter() as running:
        followers = running.service.worker.followers
        followers.handlers = (*followers.handlers, failing)
        followers.retry = 0.01
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event("p1")
        await rig.event("p1")
        await eventually(lambda: running_members(running, "p1"))  # membership does not wait for it
        await followed(rig, 1)
        assert failing.seen == [1, 1, 1]
        assert len(await kept(rig)) == 1
        assert await rig.pool.fetchval("SELECT sum(entered) FROM membership_hour") == 1


async def test_two_processes_keep_everything_once(rig: Rig) -> None:
    async with rig.segmenter() as one, rig.segmenter() as other:
        await rig.live(one.api, "two-orders", TWO_ORDERS)
        zombies = [asyncio.ensure_future(zombie(other, q)) for q in range(PARTITIONS)]
        try:
            for number in range(20):
                await rig.event(f"p{number}")
                await rig.event(f"p{number}")
            await followed(rig, 20)
        finally:
            for task in zombies:
                task.cancel()
            await asyncio.gather(*zombies, return_exceptions=True)
        assert sorted(profile for _, profile, *_ in await kept(rig)) == sorted(f"p{n}" for n in range(20))
        assert await rig.pool.fetchval("SELECT sum(entered) FROM membership_hour") == 20


class Failing:
    """A handler that fails the first times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.seen: list[int] = []

    async def apply(self, connection: Any, changes: Any) -> None:
        self.seen.append(len(changes))
        if len(self.seen) <= self.times:
            raise ConnectionError("not yet")

    def committed(self) -> None:
        pass


async def followed(rig: Rig, changes: int) -> None:
    """Wait until as many changes are published, and the follower is behind the last."""

    async def done() -> bool:
        records = await rig.change_records()
        ends = {record.partition: record.offset + 1 for record in records}
        rows = await rig.pool.fetch("SELECT partition, next_offset FROM follower")
        positions = {row["partition"]: row["next_offset"] for row in rows}
        distinct = {record.value for record in records}
        return len(distinct) == changes and all(positions.get(q, 0) == end for q, end in ends.items())

    await eventually(done)


async def merge(rig: Rig, loser: str, winner: str) -> None:
    tombstone = TombstoneRow(
        **await rig.header(rig.q(loser)), profile_id=loser, into=winner, source="shop", message_id="link"
    )
    await rig.write(rig.q(loser), tombstone)
    row = MergeRow(
        **await rig.header(rig.q(winner)),
        profile_id=winner,
        loser=loser,
        loser_partition=rig.q(loser),
        loser_seq=tombstone.seq,
        source="shop",
        message_id="link",
    )
    await rig.write(rig.q(winner), row)


async def kept(rig: Rig) -> list[tuple[Any, ...]]:
    rows = await rig.pool.fetch(
        "SELECT segment_id, profile_id, entry_id, entered_at, exited_at FROM membership_interval ORDER BY number"
    )
    return sorted(tuple(row) for row in rows)


async def last_day(running: Running) -> tuple[int, int]:
    found = await get(running.api, "/v1/segments/recent")
    return found["added_24h"], found["dropped_24h"]


async def running_members(running: Running, profile: str) -> bool:
    return bool(await running.memberships(profile))


async def get(api: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def zombie(running: Running, q: int) -> None:
    """What works on although it has lost the partition."""
    while True:
        await asyncio.gather(running.service.worker.work(q), return_exceptions=True)
        await asyncio.sleep(0.05)
