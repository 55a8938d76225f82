"""The segmenter on real engines: definitions, membership, publishing, and what faults must not do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.headers import header
from headrace.contracts.profile_event import MergeRow, TombstoneRow
from headrace.contracts.topics import DEAD_LETTERS, PROFILE_EVENTS
from headrace.log.port import NewRecord
from services.segmenter import keys
from tests.e2e.segmenter_rig import PARTITIONS, Rig, Running, eventually, segmenter_rig

TWO_ORDERS = {"event": {"name": "Order Completed", "count": {"gte": 2}}}
RECENT = {"event": {"name": "Order Completed", "within": "10s"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_an_event_becomes_a_membership_and_a_published_change(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event("p1", user_id="u1", traits={"email": "a@b.cz"})
        second = await rig.event("p1")

        async def published() -> bool:
            return await rig.changes() == [("p1", "two-orders", "entered")]

        await eventually(published)
        (record,) = await rig.change_records()
        change = msgspec.json.decode(record.value or b"")
        assert change["event"] == "Audience Entered"
        assert change["userId"] == "u1"
        assert change["context"]["traits"] == {"email": "a@b.cz"}
        assert change["properties"]["two-orders"] is True
        assert change["properties"]["reason"] == "event"
        assert change["properties"]["cause_message_id"] == second.message_id
        assert record.key == b"p1"
        assert header(record.headers, "ce_type") == b"io.headrace.segment.entered.v1"
        assert header(record.headers, "ce_id") == change["messageId"].encode()
        assert header(record.headers, "headrace-seq") == b"1"


async def test_time_alone_ends_a_membership(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        await rig.event("p1")
        await rig.tick(9_999)
        await eventually(lambda: _is(running, "p1", {"recent"}))
        await rig.tick(1)
        await eventually(lambda: _is(running, "p1", set()))
        assert await rig.changes() == [("p1", "recent", "entered"), ("p1", "recent", "exited")]


async def test_a_definition_made_later_has_the_members_that_history_gives_it(rig: Rig) -> None:
    async with rig.segmenter() as running:
        for number in range(20):
            for _ in range(1 + number % 2):
                await rig.event(f"p{number}")
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        found = (await running.api.get("/v1/segments/two-orders")).json()
        assert (found["status"], found["size"], found["progress"]) == ("live", 10, 1.0)
        first = (await running.api.get("/v1/segments/two-orders/members?limit=7")).json()
        rest = (await running.api.get(f"/v1/segments/two-orders/members?limit=7&cursor={first['next']}")).json()
        listed = [item["profile_id"] for item in first["items"] + rest["items"]]
        assert sorted(listed) == sorted(f"p{number}" for number in range(1, 20, 2))
        verified = (await running.api.post("/v1/segments/two-orders/verify")).json()
        assert (verified["checked"], verified["mismatches"], verified["skipped"]) == (20, 0, 0)


async def test_an_edit_publishes_the_differences_and_a_delete_the_exits(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", TWO_ORDERS)
        for profile, orders in (("p1", 1), ("p2", 2), ("p3", 3)):
            for _ in range(orders):
                await rig.event(profile)
        await eventually(lambda: _is(running, "p3", {"buyers"}))
        await rig.live(running.api, "buyers", {"event": {"name": "Order Completed", "count": {"between": [1, 2]}}})
        assert {profile for profile in ("p1", "p2", "p3") if await running.memberships(profile)} == {"p1", "p2"}
        assert (await running.api.delete("/v1/segments/buyers")).status_code == 200
        await eventually(lambda: _is(running, "p2", set()))
        assert (await running.api.get("/v1/segments/buyers")).status_code == 404

        async def published() -> bool:
            return len(await rig.changes()) == 6

        await eventually(published)
        assert sorted(await rig.changes()) == sorted(
            [(p, "buyers", "entered") for p in ("p1", "p2", "p3")]
            + [(p, "buyers", "exited") for p in ("p1", "p2", "p3")]
        )


async def test_an_unchanged_definition_keeps_its_version(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", TWO_ORDERS)
        body = {"kind": "segment", "id": "buyers", "name": "buyers", "when": TWO_ORDERS}
        again = await running.api.put("/v1/segments/buyers", json=body)
        assert (again.json()["version"], again.json()["status"]) == (1, "live")
        changed = await running.api.put("/v1/segments/buyers", json={**body, "name": "Buyers"})
        assert changed.json()["version"] == 2


async def test_a_bad_definition_is_answered_with_its_problems(rig: Rig) -> None:
    async with rig.segmenter() as running:
        body = "kind: segment\nid: x\nname: X\nwhen: {event: {name: A, count: {gtee: 2}}}\n"
        answer = await running.api.put("/v1/segments/x", content=body)
        assert answer.status_code == 400
        assert answer.json()["problems"] == [
            {"path": "when.event.count.gtee", "reason": "is not known here", "suggestion": "did you mean gte?"}
        ]


async def test_a_paused_segment_keeps_its_members_until_it_is_resumed(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        await rig.event("p1")
        await eventually(lambda: _is(running, "p1", {"recent"}))
        assert (await running.api.post("/v1/segments/recent/pause")).json()["status"] == "paused"
        await rig.tick(60_000)
        await rig.event("p2", name="Other")
        await eventually(lambda: _known(running, "p2"))
        assert await running.memberships("p1") == {"recent"}
        why = (await running.api.get("/v1/segments/recent/explain/p1")).json()
        assert (why["member"], why["result"], why["paused"]) == (True, False, True)
        await running.api.post("/v1/segments/recent/resume")
        await eventually(lambda: _is(running, "p1", set()))
        why = (await running.api.get("/v1/segments/recent/explain/p1")).json()
        assert (why["member"], why["paused"]) == (False, False)


async def test_explain_names_values_events_and_the_next_change(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", {"all": [RECENT, {"trait": {"name": "city", "eq": "Brno"}}]})
        row = await rig.event("p1", traits={"city": "Brno"})
        await eventually(lambda: _is(running, "p1", {"recent"}))
        found = (await running.api.get("/v1/segments/recent/explain/p1")).json()
        orders, city = found["when"]["all"]
        assert found["member"]
        assert found["membership"]["cause_message_id"] == row.message_id
        assert orders["value"] == 1
        assert [event["message_id"] for event in orders["events"]] == [row.message_id]
        assert orders["next_change_at"] == found["next_change_at"]
        assert (city["value"], city["events"][0]["message_id"]) == ("Brno", row.message_id)
        preview = await running.api.post("/v1/segments/preview", json={"when": TWO_ORDERS})
        assert preview.json() == {"count": 0, "sample": []}
        looked_up = (await running.api.get("/v1/lookup/user_id/p1/segments")).json()
        assert [item["id"] for item in looked_up["items"]] == ["recent"]
        assert (await running.api.get("/v1/lookup/user_id/x/segments")).status_code == 404


async def test_a_merge_joins_two_histories_across_partitions(rig: Rig) -> None:
    loser, winner = "p1", next(f"p{n}" for n in range(2, 50) if rig.q(f"p{n}") != rig.q("p1"))
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event(loser)
        rig.time += 1
        last = await rig.event(winner)
        tombstone = TombstoneRow(
            **await rig.header(rig.q(loser)), profile_id=loser, into=winner, source="shop", message_id="link"
        )
        await rig.write(rig.q(loser), tombstone)
        merge = MergeRow(
            **await rig.header(rig.q(winner)),
            profile_id=winner,
            loser=loser,
            loser_partition=rig.q(loser),
            loser_seq=tombstone.seq,
            source="shop",
            message_id="link",
        )
        await rig.write(rig.q(winner), merge)
        await eventually(lambda: _is(running, winner, {"two-orders"}))
        await eventually(rig.change_records)  # published a little after it is so
        (record,) = await rig.change_records()
        properties = msgspec.json.decode(record.value or b"")["properties"]
        assert properties["reason"] == "event"
        assert properties["cause_message_id"] == last.message_id
        await rig.pool.execute("INSERT INTO profiles.alias VALUES ($1, $2)", loser, winner)
        assert await running.memberships(loser) == {"two-orders"}


async def test_an_emptied_redis_is_rebuilt_and_nothing_is_said_twice(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.live(running.api, "recent", RECENT)
        for number in range(10):
            await rig.event(f"p{number}")
            await rig.event(f"p{number}")
        await eventually(lambda: _published(rig, 20))
    before = [(record.partition, record.value, record.headers) for record in await rig.change_records()]
    await rig.redis.flushdb()
    async with rig.segmenter() as running:
        await eventually(lambda: _is(running, "p9", {"two-orders", "recent"}))
        await rig.event("p100")
        await rig.event("p100")
        await eventually(lambda: _published(rig, 22))
        after = [(record.partition, record.value, record.headers) for record in await rig.change_records()]
        assert [record for record in after if record in before] == before
        seqs = [int(header(headers, "headrace-seq") or 0) for q, _, headers in after if q == rig.q("p100")]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_what_was_committed_and_not_published_is_published_by_the_next_process(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event("p1")
        await rig.event("p1")
        await eventually(lambda: _published(rig, 1))
    # as after a crash between the append and its mark, and between a commit and the append
    await rig.pool.execute("DELETE FROM published")
    async with rig.segmenter() as running:
        await rig.event("p2")
        await rig.event("p2")
        await eventually(lambda: _published(rig, 2))
        assert sorted(await rig.changes()) == [("p1", "two-orders", "entered"), ("p2", "two-orders", "entered")]


async def test_two_processes_on_the_same_partitions_say_everything_once(rig: Rig) -> None:
    async with rig.segmenter() as one:
        await rig.live(one.api, "two-orders", TWO_ORDERS)
        async with rig.segmenter() as other:
            # the other stands by in the group; it works nevertheless, as a paused member that wakes up does
            zombies = [asyncio.ensure_future(_zombie(other, q)) for q in range(PARTITIONS)]
            try:
                for number in range(30):
                    await rig.event(f"p{number}")
                    await rig.event(f"p{number}")
                await eventually(lambda: _every_entry(rig, 30))
            finally:
                for task in zombies:
                    task.cancel()
                await asyncio.gather(*zombies, return_exceptions=True)
    messages = {record.value for record in await rig.change_records()}
    assert len(messages) == 30  # a relay is not fenced: what it repeats is byte for byte what was said


async def test_a_gap_waits_for_the_row_that_is_missing(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event("p1")
        await eventually(lambda: _known(running, "p1"))
        q = rig.q("p1")
        missing = await rig.event("p1", lost=True)
        late = await rig.event("p1")
        await eventually(lambda: _gap_seen(running))
        assert await running.memberships("p1") == set()
        await rig.publish(q, missing)
        await rig.publish(q, late)
        await eventually(lambda: _is(running, "p1", {"two-orders"}))


@pytest.mark.parametrize("length", [22, 900_000], ids=["small", "larger than a dead letter takes"])
async def test_an_unreadable_record_is_set_aside_and_the_partition_goes_on(rig: Rig, length: int) -> None:
    raw = b'{"kind":"event","seq":'.ljust(length)
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.log.append(rig.topic(PROFILE_EVENTS.name), rig.q("p1"), [NewRecord(b"p1", raw)])
        await rig.event("p1")
        await rig.event("p1")
        await eventually(lambda: _is(running, "p1", {"two-orders"}))
        (letter,) = await rig.log.read(rig.topic(DEAD_LETTERS.name), rig.q("p1"), 0)
        found = msgspec.json.decode(letter.value or b"", type=DeadLetter)
        assert raw.startswith(found.raw)
        assert found.complete == (found.raw == raw) == (length < 100)


async def test_a_new_epoch_rebuilds_instead_of_comparing(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "two-orders", TWO_ORDERS)
        await rig.event("p1")
        await rig.event("p1")
        await eventually(lambda: _published(rig, 1))
        # a restored Postgres: the last row is gone, another takes its number
        await rig.pool.execute(
            """DELETE FROM profiles.timeline
               WHERE q = $1 AND seq = (SELECT max(seq) FROM profiles.timeline WHERE q = $1)""",
            rig.q("p1"),
        )
        rig.epoch = 2
        await rig.event("p1", name="Other")
        await eventually(lambda: _is(running, "p1", set()))
        mark = msgspec.json.decode(await running.redis.get(keys.mark(rig.q("p1"))) or b"{}")
        assert mark["epoch"] == 2


async def _is(running: Running, profile: str, expected: set[str]) -> bool:
    answer = await running.api.get(f"/v1/profiles/{profile}/segments")
    return answer.status_code == 200 and {item["id"] for item in answer.json()["items"]} == expected


async def _known(running: Running, profile: str) -> bool:
    return (await running.api.get(f"/v1/profiles/{profile}/segments")).status_code == 200


async def _zombie(running: Running, q: int) -> None:
    """What the runner does: start the worker again whatever it dies of."""
    while True:
        with suppress(Exception):
            await running.service.worker.work(q)
        await asyncio.sleep(0.05)


async def _every_entry(rig: Rig, count: int) -> bool:
    return len(set(await rig.changes())) == count


async def _gap_seen(running: Running) -> bool:
    exposition = (await running.api.get("/metrics")).text
    return "headrace_sequence_gaps_total{" in exposition


async def _published(rig: Rig, count: int) -> bool:
    return len(await rig.changes()) == count
