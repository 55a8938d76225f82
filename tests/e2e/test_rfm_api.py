"""What the segmenter's API says of cut points, and has computed."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.rfm_rig import CHAMPIONS, TOP_SPENDERS, YEAR, buy, orders
from tests.e2e.segmenter_rig import HOUR, Rig, segmenter_rig


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_the_api_shows_them_and_has_them_computed(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await orders(rig)
        assert (await running.api.get("/v1/rfm")).json() == {"items": [], "next": None}
        await rig.live(running.api, "top", TOP_SPENDERS)
        await rig.live(running.api, "champions", CHAMPIONS)
        await rig.live(running.api, "year", YEAR)
        year, lifetime = (await running.api.get("/v1/rfm")).json()["items"]
        assert lifetime == {
            "population": lifetime["population"],
            "event": ["Order Completed"],
            "of": "properties.total",
            "within_ms": None,
            "segments": ["champions", "top"],
            "version": 1,
            "at": "2026-09-21T14:13:20.010Z",
            "computed_at": "2026-09-21T14:13:20.010Z",
            "recency": [f"2026-09-21T14:13:20.00{place}Z" for place in (1, 3, 5, 7)],
            "frequency": [1, 1, 1, 1],
            "monetary": ["10", "30", "50", "70"],
            "customers": 10,
            "classes": lifetime["classes"],
        }
        classes = {name: count for name, count in lifetime["classes"].items() if count}
        assert classes == {"new": 2, "promising": 2, "about-to-sleep": 2, "hibernating": 4}
        assert (year["within_ms"], year["segments"]) == (365 * 24 * HOUR, ["year"])
        await buy(rig, 9, 5)
        answer = await running.api.post("/v1/rfm/compute", json={"segment_id": "champions"})
        (item,) = answer.json()["items"]
        assert (item["version"], item["recency"][0], item["segments"]) == (
            1,
            lifetime["recency"][0],
            lifetime["segments"],
        )
        assert item["computed_at"] > lifetime["computed_at"]
        await buy(rig, 0, 5)
        by_population = {"population": lifetime["population"]}
        answer = await running.api.post("/v1/rfm/compute", json=by_population)
        assert [item["version"] for item in answer.json()["items"]] == [2]
        everything = (await running.api.post("/v1/rfm/compute")).json()["items"]
        assert [item["version"] for item in everything] == [2, 2]
        assert (await running.api.get("/v1/rfm")).json()["items"] == everything


async def test_the_api_refuses_what_it_cannot_compute(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", {"event": {"name": "A"}})
        for body, status, code in (
            ({"segment_id": "nobody"}, 404, "unknown_segment"),
            ({"segment_id": "a\0b"}, 404, "unknown_segment"),
            ({"segment_id": "buyers"}, 409, "no_rfm_condition"),
            ({"population": "{}"}, 404, "unknown_population"),
            ({"segment_id": "buyers", "population": "{}"}, 400, "invalid_request"),
            ({"segment": "buyers"}, 400, "invalid_request"),
            ([], 400, "invalid_request"),
        ):
            answer = await running.api.post("/v1/rfm/compute", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), body
        for method, path in (("GET", "/v1/rfm"), ("POST", "/v1/rfm/compute")):
            answer = await running.api.request(method, path, headers={"Authorization": "Bearer no"})
            assert answer.status_code == 401
