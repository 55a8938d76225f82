"""Preview, diff and verify at the segmenter's API: the second evaluator at the stored position and instant."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.segmenter import keys
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, Rig, Running, eventually, segmenter_rig

ORDERED = {"event": {"name": "Order Completed"}}
OFTEN = {"event": {"name": "Order Completed", "count": {"gte": 2}}}
RECENT = {"event": {"name": "Order Completed", "within": "1h"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def orders(rig: Rig, running: Running, **counts: int) -> None:
    """So many orders of each; returns when the segmenter has them all."""
    for profile, count in counts.items():
        for _ in range(count):
            await rig.event(profile)
    await caught_up(rig, running)


async def caught_up(rig: Rig, running: Running) -> None:
    """Wait until every partition has committed all that there is, and the instant."""
    await rig.tick(1)

    async def there() -> bool:
        for q in range(PARTITIONS):
            loaded = await running.service.worker._store.load(q)
            last = await rig.pool.fetchval("SELECT coalesce(max(seq), 0) FROM profiles.timeline WHERE q = $1", q)
            if loaded is None or loaded[0].seq < last or loaded[0].now < rig.time:
                return False
        return True

    await eventually(there)


async def post(running: Running, path: str, body: Any = None) -> Any:
    answer = await running.api.post(f"/v1/segments/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_preview_counts_exactly_also_lists_stages_and_references(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ORDERED)
        await orders(rig, running, p1=1, p2=2, p3=3)
        await rig.event("p4", "Other", tags={"list:fans": True})
        await caught_up(rig, running)
        assert await post(running, "preview", {"when": OFTEN}) == {"count": 2, "sample": ["p2", "p3"]}
        among = {"all": [{"segment": {"id": "buyers"}}, {"not": OFTEN}]}
        assert (await post(running, "preview", {"when": among}))["sample"] == ["p1"]
        fans = await post(running, "preview", {"kind": "list", "id": "fans", "name": "Fans"})
        assert fans == {"count": 1, "sample": ["p4"]}
        parts = [{"id": "often", "when": OFTEN}, {"id": "once", "when": ORDERED}]
        found = await post(running, "preview", {"kind": "stages", "id": "life", "name": "Life", "stages": parts})
        assert [(one["segment_id"], one["count"]) for one in found["stages"]] == [
            ("life-often", 2),
            ("life-once", 1),
        ]
        assert found["count"] == 3
        answer = await running.api.post("/v1/segments/preview", json={"when": {"segment": {"id": "nobody"}}})
        assert answer.json()["problems"][0]["path"] == "when.segment.id"


async def test_a_preview_of_scores_counts_by_the_cut_points_that_there_would_be(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ORDERED)
        await orders(rig, running, **{f"p{number}": 1 + number for number in range(5)})
        found = await post(running, "preview", {"when": {"rfm": {"frequency": [4, 5]}}})
        assert (found["count"], sorted(found["sample"])) == (2, ["p3", "p4"])
        assert (await post(running, "new/diff", {"when": {"rfm": {"frequency": [1]}}}))["sample_entering"] == [
            "p0"
        ]
        assert await rig.pool.fetchval("SELECT count(*) FROM segmenter.cut_points") == 0


async def test_a_paused_segment_is_asked_for_as_it_stands(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ORDERED)
        await orders(rig, running, p1=1)
        await post(running, "buyers/pause")
        await orders(rig, running, p2=1)
        assert (await post(running, "preview", {"when": {"segment": {"id": "buyers"}}}))["sample"] == ["p1"]
        assert (await post(running, "preview", {"when": ORDERED}))["count"] == 2
        found = await post(running, "buyers/verify")
        assert (found["checked"], found["skipped"], found["mismatches"]) == (0, 2, 0)


async def test_a_diff_says_who_would_enter_and_leave(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await orders(rig, running, p1=1, p2=2, p3=3)
        await rig.event("p4", "Product Viewed")
        await rig.live(running.api, "vip", ORDERED)
        await rig.live(running.api, "fans", {"not": {"segment": {"id": "vip"}}})
        await rig.live(running.api, "best", {"segment": {"id": "fans"}})
        await caught_up(rig, running)
        when = {"any": [OFTEN, {"event": {"name": "Product Viewed"}}]}
        changed = {"kind": "segment", "id": "vip", "name": "VIP", "when": when}
        for body in (changed, {"when": when}):
            assert await post(running, "vip/diff", body) == {
                "entering": 1,
                "leaving": 1,
                "staying": 2,
                "sample_entering": ["p4"],
                "sample_leaving": ["p1"],
                "dependents": ["best", "fans"],
            }
        fresh = await post(running, "new/diff", {"when": OFTEN})
        assert (fresh["entering"], fresh["leaving"], fresh["dependents"]) == (2, 0, [])
        circle = await running.api.post("/v1/segments/vip/diff", json={"when": {"segment": {"id": "best"}}})
        assert "vip → best → fans → vip" in circle.json()["problems"][0]["reason"]


async def test_a_diff_of_stages_counts_every_move(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await orders(rig, running, p1=1, p2=2)
        parts = [{"id": "often", "when": OFTEN}, {"id": "once", "when": ORDERED}]
        await running.api.put("/v1/segments/life", json={"kind": "stages", "name": "Life", "stages": parts})

        async def live() -> bool:
            return bool((await running.api.get("/v1/segments/life")).json()["size"] == 2)

        await eventually(live)
        found = await post(running, "life/diff", {"kind": "stages", "stages": [{"id": "once", "when": ORDERED}]})
        assert (found["entering"], found["leaving"], found["staying"]) == (1, 1, 1)
        assert [(one["id"], one["sample_entering"]) for one in found["stages"]] == [("once", ["p2"])]
        assert found["sample_leaving"] == ["p2"]


async def test_membership_is_right_whatever_the_instant(rig: Rig) -> None:
    """A timer that is due in the stored instant has fired in it; the second evaluator looks at the same one."""
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        await orders(rig, running, p1=1, p2=1)
        await rig.tick(HOUR - 1)
        await caught_up(rig, running)
        found = await post(running, "recent/verify")
        assert (found["checked"], found["mismatches"], found["skipped"]) == (2, 0, 0)
        assert (await running.api.get("/v1/segments/recent")).json()["size"] == 0


@pytest.mark.parametrize("sample", [None, 1.0, 100])
async def test_what_differs_is_told_with_both_reasons_and_put_right(rig: Rig, sample: float | int | None) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "often", OFTEN)
        await rig.live(running.api, "buyers", ORDERED)
        await orders(rig, running, p1=2, p2=2, p3=1)
        right = await post(running, "often/verify", {"sample": sample})
        assert (right["checked"], right["mismatches"], right["repairs"]) == (3, 0, 0)
    await lose(rig, "p1", "often")
    async with rig.segmenter() as running:
        await caught_up(rig, running)
        wrong = await post(running, "often/verify", {"sample": sample, "repair": True})
        assert (wrong["checked"], wrong["mismatches"], wrong["repairs"]) == (3, 1, 1)
        [example] = wrong["examples"]
        assert example["profile_id"] == "p1"
        assert (example["expected"], example["known"], example["member"], example["listed"]) == (
            True,
            False,
            False,
            False,
        )
        assert example["incremental"]["result"] is True
        assert (example["batch"]["result"], example["batch"]["value"]) == (True, 2)
        metrics = (await running.api.get("/metrics")).text
        assert 'headrace_verify_mismatches_total{segment="often"} 1.0' in metrics
        assert 'headrace_verify_checked_total{segment="often"} 3.0' in metrics
        assert 'headrace_verify_last_run_seconds{segment="often"}' in metrics

        async def mended() -> bool:
            return bool((await post(running, "often/verify", {"sample": sample}))["mismatches"] == 0)

        await eventually(mended)
        assert "often" in await running.memberships("p1")


async def lose(rig: Rig, profile: str, segment_id: str) -> None:
    """Redis forgets a customer, as after a defect."""
    q = rig.q(profile)
    await rig.redis.hdel(keys.customers(q), profile)
    await rig.redis.zrem(keys.members(q, segment_id), profile)


async def test_a_list_that_lies_is_noticed(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "often", OFTEN)
        await orders(rig, running, p1=2, p2=1)
        await rig.redis.zadd(keys.members(rig.q("p2"), "often"), {"p2": 0, "ghost": 0})
        await rig.redis.zrem(keys.members(rig.q("p1"), "often"), "p1")
        found = await post(running, "often/verify")
        told = {one["profile_id"]: (one["expected"], one["member"], one["listed"]) for one in found["examples"]}
        assert told == {
            "p1": (True, True, False),
            "p2": (False, False, True),
            "ghost": (None, False, True),
        }
        assert (found["checked"], found["mismatches"]) == (3, 3)


async def test_a_sample_is_a_part(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "often", OFTEN)
        await orders(rig, running, **{f"p{number}": 1 for number in range(40)})
        assert (await post(running, "often/verify", {"sample": 7}))["checked"] == 7
        assert (await post(running, "often/verify", {"sample": 1e-9}))["checked"] == 0
        for wrong in ({"sample": 0}, {"sample": -0.5}, {"sample": "all"}, {"repair": "yes"}, {"x": 1}):
            assert (await running.api.post("/v1/segments/often/verify", json=wrong)).status_code == 400
        assert (await running.api.post("/v1/segments/nobody/verify")).status_code == 404
