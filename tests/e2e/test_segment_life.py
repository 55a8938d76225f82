"""The life of definitions at the segmenter's API: how they hang together, versions, stages, progress."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.segmenter.definitions import Backfilling, Definitions, Report
from tests.e2e.segmenter_rig import PARTITIONS, Rig, Running, eventually, segmenter_rig

ORDERED = {"event": {"name": "Order Completed"}}
VIEWED = {"event": {"name": "Product Viewed"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


def ask(segment_id: str) -> dict[str, Any]:
    return {"segment": {"id": segment_id}}


async def put(running: Running, key: str, **fields: Any) -> httpx.Response:
    return await running.api.put(f"/v1/segments/{key}", json={"kind": "segment", "name": key, **fields})


async def stages(running: Running, key: str, **whens: Any) -> httpx.Response:
    parts = [{"id": name, "when": when} for name, when in whens.items()]
    return await running.api.put(f"/v1/segments/{key}", json={"kind": "stages", "name": key, "stages": parts})


async def live(running: Running, key: str) -> None:
    async def is_live() -> bool:
        return bool((await running.api.get(f"/v1/segments/{key}")).json()["status"] == "live")

    await eventually(is_live)


def refused(answer: httpx.Response, code: str) -> str:
    assert answer.json()["code"] == code, answer.text
    return str(answer.json()["message"])


async def test_a_reference_must_lead_somewhere_and_not_back(rig: Rig) -> None:
    async with rig.segmenter() as running:
        [problem] = (await put(running, "vip", when=ask("buyers"))).json()["problems"]
        assert (problem["path"], problem["reason"]) == ("when.segment.id", "there is no segment buyers")
        assert (await put(running, "buyers", when=ORDERED)).status_code == 200
        assert (await put(running, "vip", when=ask("buyers"))).status_code == 200
        [problem] = (await put(running, "buyers", when=ask("vip"))).json()["problems"]
        assert "buyers → vip → buyers" in problem["reason"]
        [problem] = (await put(running, "self", when=ask("self"))).json()["problems"]
        assert problem["reason"] == "self asks for itself"


async def test_what_others_ask_for_stays(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await put(running, "buyers", when=ORDERED)
        await stages(running, "life", new=VIEWED, old=ORDERED)
        await put(running, "vip", when={"all": [ask("buyers"), ask("life-old")]})
        assert "vip" in refused(await running.api.delete("/v1/segments/buyers"), "segment_in_use")
        said = refused(await running.api.delete("/v1/segments/life"), "segment_in_use")
        assert "Segments ask for life-old: vip." in said  # and not for the stage life-new
        assert "life-old" in refused(await stages(running, "life", new=VIEWED), "segment_in_use")
        assert (await running.api.delete("/v1/segments/vip")).status_code == 200
        assert (await running.api.delete("/v1/segments/buyers")).status_code == 200
        assert (await running.api.delete("/v1/segments/life")).status_code == 200


async def test_a_version_that_is_still_in_force_counts_as_well(rig: Rig) -> None:
    """Until the new version of vip is live, its old one asks for buyers: the two must not be gone, or ask back."""
    async with rig.segmenter() as running:
        await put(running, "buyers", when=ORDERED)
        await put(running, "vip", when=ask("buyers"))
        await live(running, "vip")
    definitions = Definitions(rig.pool, PARTITIONS)
    async with rig.segmenter() as running:
        await rig.pool.execute("UPDATE segmenter.segment SET version = 2 WHERE id = 'vip'")
        await rig.pool.execute(
            """INSERT INTO segmenter.segment_version (id, version, kind, name, definition)
               VALUES ('vip', 2, 'segment', 'vip', '{"id":"vip","kind":"segment","name":"vip","when":'
                       || '{"event":{"name":["Product Viewed"]}}}')"""
        )
        refused(await running.api.delete("/v1/segments/buyers"), "segment_in_use")
        refused(await put(running, "buyers", when=ask("vip")), "not_yet")
        await definitions.report([Report("vip", 2, q, live=True) for q in range(PARTITIONS)])
        assert (await put(running, "buyers", when=ask("vip"))).status_code == 200


async def test_stages_are_shown_whole_and_one_by_one(rig: Rig) -> None:
    async with rig.segmenter() as running:
        for profile in ("p1", "p2"):
            await rig.event(profile)
        await rig.event("p3", "Product Viewed")
        assert (await stages(running, "life", buyer=ORDERED, visitor=VIEWED)).status_code == 200
        await live(running, "life")

        async def entered() -> bool:
            return bool((await running.api.get("/v1/segments/life")).json()["size"] == 3)

        await eventually(entered)
        whole = (await running.api.get("/v1/segments/life")).json()
        assert (whole["kind"], [(one["segment_id"], one["size"]) for one in whole["stages"]]) == (
            "stages",
            [("life-buyer", 2), ("life-visitor", 1)],
        )
        part = (await running.api.get("/v1/segments/life-visitor")).json()
        assert (part["kind"], part["size"], part["belongs_to"]) == ("stage", 1, "life")
        members = (await running.api.get("/v1/segments/life-visitor/members")).json()["items"]
        assert [member["profile_id"] for member in members] == ["p3"]
        why = (await running.api.get("/v1/segments/life-buyer/explain/p3")).json()
        assert (why["member"], why["result"]) == (False, False)
        for path in ("life-buyer", "life"):
            found = (await running.api.post(f"/v1/segments/{path}/verify")).json()
            assert (found["checked"], found["mismatches"]) == (6 if path == "life" else 3, 0), found


async def test_a_stage_has_no_life_of_its_own(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await stages(running, "life", buyer=ORDERED, visitor=VIEWED)
        asked = [
            await put(running, "life-buyer", when=VIEWED),
            await running.api.delete("/v1/segments/life-buyer"),
            await running.api.post("/v1/segments/life-buyer/pause"),
            await running.api.post("/v1/segments/life-buyer/resume"),
            await running.api.get("/v1/segments/life-buyer/versions"),
        ]
        for answer in asked:
            assert "belongs to stages life" in refused(answer, "part_of_stages")
        for path in ("members", "explain/p1"):
            refused(await running.api.get(f"/v1/segments/life/{path}"), "several_segments")
        await put(running, "deal-a", when=ORDERED)
        [problem] = (await stages(running, "deal", b=VIEWED, a=ORDERED)).json()["problems"]
        assert problem["path"] == "stages.1.id"


async def test_every_version_is_kept_and_can_come_back(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await put(running, "vip", when=ORDERED)
        await live(running, "vip")
        await put(running, "vip", when=VIEWED, name="Lookers")
        await live(running, "vip")
        found = (await running.api.get("/v1/segments/vip/versions")).json()
        assert [(one["number"], one["name"], one["state"]) for one in found["items"]] == [
            (2, "Lookers", "live"),
            (1, "vip", "superseded"),
        ]
        first = (await running.api.get("/v1/segments/vip/versions?limit=1")).json()
        rest = (await running.api.get(f"/v1/segments/vip/versions?limit=1&cursor={first['next']}")).json()
        assert (rest["items"], rest["next"]) == (found["items"][1:], None)
        one = (await running.api.get("/v1/segments/vip/versions/1")).json()
        assert one["definition"]["when"]["event"]["name"] == ["Order Completed"]
        back = (await running.api.post("/v1/segments/vip/versions/1/restore")).json()
        assert (back["version"], back["restored"]) == (3, 1)
        states = (await running.api.get("/v1/segments/vip/versions")).json()["items"]
        assert states[0]["definition"] == one["definition"]
        await live(running, "vip")
        again = (await running.api.post("/v1/segments/vip/versions/1/restore")).json()
        assert again["version"] == 3
        for path in ("vip/versions/9", "nobody/versions/1", "nobody/versions"):
            assert (await running.api.get(f"/v1/segments/{path}")).status_code == 404
        assert (await running.api.get("/v1/segments/vip/versions?cursor=x")).status_code == 400


async def test_a_deleted_segment_can_be_restored(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await put(running, "vip", when=ORDERED)
        await live(running, "vip")
        await running.api.delete("/v1/segments/vip")
        [one] = (await running.api.get("/v1/segments/vip/versions")).json()["items"]
        assert one["state"] == "superseded"
        assert (await running.api.post("/v1/segments/vip/versions/1/restore")).json()["version"] == 2
        states = [one["state"] for one in (await running.api.get("/v1/segments/vip/versions")).json()["items"]]
        assert states in (["pending", "superseded"], ["live", "superseded"])
        await live(running, "vip")


async def test_the_list_is_filtered_by_kind_and_status(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await put(running, "vip", when=ORDERED)
        await put(running, "fans", kind="list")
        await stages(running, "life", buyer=ORDERED)
        for key in ("vip", "fans", "life"):
            await live(running, key)
        await running.api.post("/v1/segments/vip/pause")

        async def listed(query: str) -> list[tuple[str, str]]:
            found = (await running.api.get(f"/v1/segments?{query}")).json()
            return [(item["id"], item["kind"]) for item in found["items"]]

        assert await listed("") == [("fans", "list"), ("life", "stages"), ("vip", "segment")]
        assert await listed("kind=stages") == [("life", "stages")]
        assert await listed("status=live") == [("fans", "list"), ("life", "stages")]
        assert await listed("status=paused&kind=segment") == [("vip", "segment")]
        assert await listed("status=backfilling") == []
        assert await listed("status=live&limit=1&cursor=fans") == [("life", "stages")]
        assert (await running.api.get("/v1/segments?kind=audience")).status_code == 400


async def test_progress_is_the_share_of_customers_done(rig: Rig) -> None:
    """As partitions report it; nobody works on them here."""
    definitions = Definitions(rig.pool, 4)
    async with rig.pool.acquire() as connection:
        await connection.execute("INSERT INTO segmenter.segment (id, version, state) VALUES ('x', 1, 'active')")
        await connection.execute(
            """INSERT INTO segmenter.segment_version (id, version, kind, name, definition)
               VALUES ('x', 1, 'segment', 'x', '{"id":"x","kind":"segment","name":"x",'
                       || '"when":{"event":{"name":["a"]}}}')"""
        )
    assert (await definitions.get("x")).progress == 0
    await definitions.backfilling([Backfilling("x", 1, 0, 100, 200), Backfilling("x", 1, 1, 0, 0)])
    assert (await definitions.get("x")).progress == 0.125
    await definitions.report([Report("x", 1, q, live=False) for q in (0, 1, 2)])
    await definitions.backfilling([Backfilling("x", 1, 0, 150, 200)])
    found = await definitions.get("x")
    assert (found.progress, found.status) == (0.75, "backfilling")
    asked = "SELECT count(*) FROM segmenter.control_request WHERE kind = 'activate'"
    await definitions.backfilling([Backfilling("x", 1, 3, 1, 2)])
    await definitions.report([])
    assert await rig.pool.fetchval(asked) == 0
    await definitions.report([Report("x", 1, 3, live=False)])
    assert ((await definitions.get("x")).progress, await rig.pool.fetchval(asked)) == (1, 1)
