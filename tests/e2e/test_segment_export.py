"""Exports of members and overlaps of segments, on live membership."""

import csv
import io
import json
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.instant import format_instant
from services.segmenter import export_routes, keys, overlap
from tests.e2e.segmenter_rig import HOUR, PARTITIONS, T0, Rig, Running, eventually, segmenter_rig

ONE = {"event": {"name": "Order Completed"}}
RECENT = {"event": {"name": "Order Completed", "within": "1h"}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_every_member_is_exported_with_its_identifiers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_routes, "PAGE", 2)
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ONE)
        for number in range(7):
            await rig.event(f"p{number}")
        await rig.pool.execute(
            """INSERT INTO profiles.profile (id, user_id, traits, first_seen, last_seen)
               VALUES ('p3', '=1+1', '{"email": "eva@example.com", "phone": "+420601000111"}', 0, 0)"""
        )
        await eventually(lambda: sized(running, "buyers", 7))
        answer = await running.api.get("/v1/segments/buyers/members.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="buyers.csv"'
        rows = {row["profile_id"]: row for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
        assert sorted(rows) == [f"p{number}" for number in range(7)]
        eva = rows["p3"]
        assert (eva["user_id"], eva["email"], eva["phone"]) == ("'=1+1", "eva@example.com", "'+420601000111")
        assert (eva["entered_at"], eva["version"]) == (format_instant(T0), "1")

        lines = (await running.api.get("/v1/segments/buyers/members.ndjson")).text.splitlines()
        members = {item["profile_id"]: item for item in map(json.loads, lines)}
        assert members.keys() == rows.keys()
        assert (members["p3"]["user_id"], members["p4"]["user_id"]) == ("=1+1", None)
        listed = (await running.api.get("/v1/segments/buyers/members")).json()["items"]
        assert {(m["profile_id"], m["entry_id"]) for m in members.values()} == {
            (m["profile_id"], m["entry_id"]) for m in listed
        }


async def test_an_export_as_of_an_instant(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_routes, "PAGE", 2)
    async with rig.segmenter() as running:
        await rig.live(running.api, "recent", RECENT)
        for number in range(5):
            await rig.event(f"p{number}")
        await rig.tick(HOUR)
        await eventually(lambda: followed(rig, 5))
        path = "/v1/segments/recent/members.csv"
        now = (await running.api.get(path)).text.splitlines()
        then = (await running.api.get(path, params={"at": format_instant(T0)})).text.splitlines()
        assert (len(now), len(then)) == (1, 6)
        for wrong, status in ((f"{path}?at=soon", 400), ("/v1/segments/none/members.ndjson", 404)):
            assert (await running.api.get(wrong)).status_code == status


async def test_an_overlap_counts_each_side(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "PAGE", 3)
    async with rig.segmenter() as running:
        for name in ("a", "b", "overlap"):
            await rig.live(running.api, name, {"event": {"name": name}})
        for number in range(40):
            for name in ("a", "b"):
                if (number % 2 == 0 and name == "a") or (number % 3 == 0 and name == "b"):
                    await rig.event(f"p{number}", name=name)
        await eventually(lambda: sized(running, "a", 20))
        await eventually(lambda: sized(running, "b", 14))
        found = (await running.api.get("/v1/segments/overlap?a=a&b=b")).json()
        assert found == {"a": 20, "b": 14, "both": 7, "only_a": 13, "only_b": 7, "jaccard": 7 / 27}
        turned = (await running.api.get("/v1/segments/overlap?a=b&b=a")).json()
        assert (turned["only_a"], turned["only_b"]) == (7, 13)
        nobody = (await running.api.get("/v1/segments/overlap?a=a&b=overlap")).json()
        assert (nobody["both"], nobody["jaccard"]) == (0, 0)
        assert (await running.api.get("/v1/segments/overlap")).json()["id"] == "overlap"  # a segment's id as well
        assert (await running.api.get("/v1/segments/overlap?a=a")).status_code == 400
        assert (await running.api.get("/v1/segments/overlap?a=a&b=none")).status_code == 404
        own = (await running.api.get("/v1/segments/overlap?a=a&b=a")).json()
        assert (own["both"], own["jaccard"]) == (20, 1)


async def sized(running: Running, segment_id: str, size: int) -> bool:
    counts = [await running.redis.zcard(keys.members(q, segment_id)) for q in range(PARTITIONS)]
    return sum(counts) == size


async def followed(rig: Rig, intervals: int) -> bool:
    """As many memberships have ended."""
    ended = "SELECT count(*) FROM membership_interval WHERE exited_at IS NOT NULL"
    return bool(await rig.pool.fetchval(ended) == intervals)
