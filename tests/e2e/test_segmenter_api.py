"""What the segmenter's API answers to requests that nobody should send: never a 500, never a stopped service."""

import json
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.segment import parse_segment
from services.segmenter.definitions import Definitions
from tests.e2e.segmenter_rig import PARTITIONS, Rig, Running, eventually, segmenter_rig

ONE = {"event": {"name": "Order Completed"}}
NUL = "a%00b"


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


def document(**fields: object) -> dict[str, object]:
    return {"kind": "segment", "id": "x", "name": "X", "when": ONE, **fields}


BODIES = {
    "kind of another type": json.dumps(document(kind=["segment"])),
    "NUL in the name": json.dumps(document(name="a\0b")),
    "half a surrogate pair in the name": json.dumps(document(name="\ud800")),
    "half a surrogate pair in a value": json.dumps(document(when={"trait": {"name": "a", "eq": "\ud800"}})),
    "YAML that stands for gigabytes": "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "deep": "[" * 100_000,
    "deep conditions": json.dumps(document()).replace(json.dumps(ONE), '{"not":' * 2_000 + "1" + "}" * 2_000),
    "many wrong names": json.dumps({f"key{n}": n for n in range(10_000)}),
    "a list": "[]",
    "nothing": "",
    "another id": json.dumps(document(id="y")),
}


async def test_a_bad_body_is_answered_with_400_and_changes_nothing(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ONE)
        for case, body in BODIES.items():
            answer = await running.api.put("/v1/segments/x", content=body)
            assert answer.status_code == 400, case
            assert 0 < len(answer.json()["problems"]) <= 100, case
        too_long = await running.api.put("/v1/segments/x", content=b" " * 300_000)
        assert too_long.status_code == 413
        found = (await running.api.get("/v1/segments")).json()["items"]
        assert [item["id"] for item in found] == ["buyers"]


async def test_an_odd_id_or_cursor_is_unknown_or_refused(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.live(running.api, "buyers", ONE)
        for method, path, status in (
            ("GET", f"/v1/segments/{NUL}", 404),
            ("DELETE", f"/v1/segments/{NUL}", 404),
            ("GET", f"/v1/segments/{NUL}/members", 404),
            ("GET", f"/v1/profiles/{NUL}/segments", 404),
            ("GET", f"/v1/segments?cursor={NUL}", 400),
        ):
            assert (await running.api.request(method, path)).status_code == status, path


async def test_json_as_other_languages_write_it_is_the_same_text(rig: Rig) -> None:
    """An emoji escaped as two surrogates, which YAML would take for two broken characters."""
    async with rig.segmenter() as running:
        body = json.dumps(document(name="Fans \N{SPARKLES}\N{FIRE}"))
        assert "\\ud83d" in body
        assert (await running.api.put("/v1/segments/x", content=body)).status_code == 200
        await eventually(lambda: _is(running, "live"))
        assert (await running.api.get("/v1/segments/x")).json()["name"] == "Fans \N{SPARKLES}\N{FIRE}"


async def test_a_segment_paused_at_once_goes_live_paused(rig: Rig) -> None:
    definitions = Definitions(rig.pool, PARTITIONS)
    await rig.event("p1")
    await definitions.put(parse_segment(document()))
    await definitions.change("x", "pause")  # before anybody could activate it
    async with rig.segmenter() as running:
        await eventually(lambda: _is(running, "paused"))
        assert await rig.changes() == []
        await running.api.post("/v1/segments/x/resume")

        async def entered() -> bool:
            return await rig.changes() == [("p1", "x", "entered")]

        await eventually(entered)


async def _is(running: Running, status: str) -> bool:
    return bool((await running.api.get("/v1/segments/x")).json()["status"] == status)
