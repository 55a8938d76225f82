"""Static lists at the segmenter's API: whoever is put on one is a member."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.e2e.segmenter_rig import Rig, Running, eventually, segmenter_rig

ORDERED = {"event": {"name": "Order Completed"}}
MEMBERS = "/v1/segments/fans/members"
CSV = {"Content-Type": "text/csv; charset=utf-8"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def running(rig: Rig) -> AsyncIterator[Running]:
    async with rig.segmenter() as running:
        answer = await running.api.put("/v1/segments/fans", json={"kind": "list", "name": "Fans"})
        assert answer.status_code == 200

        async def live() -> bool:
            return (await running.api.get("/v1/segments/fans")).json()["status"] == "live"  # type: ignore[no-any-return]

        await eventually(live)
        yield running


async def members(running: Running, *expected: str) -> None:
    """Wait until these are the members."""

    async def there() -> bool:
        found = (await running.api.get(MEMBERS)).json()["items"]
        return {item["profile_id"] for item in found} == {*expected}

    await eventually(there)


def told(answer: httpx.Response) -> tuple[int, int, list[Any]]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["applied"], found["unchanged"], found["unknown"]


async def test_profiles_are_put_on_and_taken_off_by_id_and_by_identifier(running: Running) -> None:
    nobody = {"type": "email", "value": "nobody@shop.test"}
    add = ["p1", "p2", "x9", {"type": "email", "value": "p3@shop.test"}, nobody]
    assert told(await running.api.post(MEMBERS, json={"add": add})) == (3, 0, [nobody, "x9"])
    await members(running, "p1", "p2", "p3@shop.test")
    answer = await running.api.post(MEMBERS, json={"add": ["p2"], "remove": ["p1", "p9"]})
    assert told(answer) == (1, 2, [])
    await members(running, "p2", "p3@shop.test")


async def test_uploads_are_applied_in_chunks(running: Running, rig: Rig) -> None:
    head = "profile_id\r\n"
    rows = "".join(f"p{number}\r\n" for number in range(1_001))
    assert told(await running.api.post(MEMBERS, content=head + rows, headers=CSV)) == (1_001, 0, [])
    assert len(rig.tagged) == 2
    found = await running.api.post(
        f"{MEMBERS}?action=remove", content=head + rows[: rows.index("p2")], headers=CSV
    )
    assert told(found) == (2, 0, [])
    lines = '"p1"\n{"profile_id":"p0"}\n\n{"type":"email","value":"pa@shop.test"}'
    assert told(await running.api.post(MEMBERS, content=lines, headers=NDJSON)) == (3, 0, [])
    both = "Type,Value\nemail,pa@shop.test\nuser_id,u1\n"
    unknown = [{"type": "user_id", "value": "u1"}]
    assert told(await running.api.post(MEMBERS, content=both, headers=CSV)) == (0, 1, unknown)


async def test_a_repeated_key_changes_nothing(running: Running) -> None:
    key = {"Idempotency-Key": "first"}
    added = {"add": ["p1"]}
    assert told(await running.api.post(MEMBERS, json=added, headers=key)) == (1, 0, [])
    assert told(await running.api.post(MEMBERS, json={"remove": ["p1"]})) == (1, 0, [])
    assert told(await running.api.post(MEMBERS, json=added, headers=key)) == (1, 0, [])
    await members(running)
    assert told(await running.api.post(MEMBERS, json=added)) == (1, 0, [])
    await members(running, "p1")


@pytest.mark.parametrize(
    ("content", "headers", "says"),
    [
        (json.dumps({"add": ["p1"], "remove": ["p1"]}), {}, "Either add or remove p1"),
        (json.dumps({"ad": ["p1"]}), {}, "unknown field `ad`"),
        (json.dumps({"add": ["a\0b"]}), {}, "control character"),
        ("who\np1\n", CSV, "Line 1: the first line must name a column profile_id"),
        ("profile_id\np1,p2\n", CSV, "Line 2: has 2 columns"),
        (b"profile_id\n\xff\n", CSV, "Line 2: is not UTF-8"),
        ("profile_id\n" + "p" * 3_000, CSV, "Line 2: a line has at most"),
        ('"p1"\n7\n', NDJSON, "Line 2: is neither"),
        ('{"type":"email"}\n', NDJSON, "Line 1: must have profile_id"),
    ],
)
async def test_what_is_wrong_is_said(running: Running, content: Any, headers: dict[str, str], says: str) -> None:
    answer = await running.api.post(MEMBERS, content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_members")
    assert says in answer.json()["message"]


async def test_only_lists_are_filled_by_hand(running: Running) -> None:
    await running.api.put("/v1/segments/vip", json={"kind": "segment", "name": "vip", "when": ORDERED})
    answer = await running.api.post("/v1/segments/vip/members", json={"add": ["p1"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_list")
    assert (await running.api.post("/v1/segments/nobody/members", json={})).status_code == 404
