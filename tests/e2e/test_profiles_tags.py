"""Tags on real Postgres: by events, by merges, by API, once per request."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest

from headrace.contracts.profile_event import EventRow, MergeRow, ProfileEvent, TombstoneRow
from services.profiles.merging import merge
from services.profiles.tagging import TagChange, TagRequest, change_tags
from services.profiles.tags import MAX_TAGS
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


async def send_tag(rig: Rig, tag: str, on: bool, at: int, **who: Any) -> None:
    await rig.send(event(name="Tag Added" if on else "Tag Removed", properties={"tag": tag}, at=at, **who))
    await rig.processed()


async def customers(rig: Rig, *users: str) -> list[str]:
    """Profile ids of new known customers."""
    await rig.send(*(event(user=user) for user in users))
    await rig.processed()
    found = {profile["user_id"]: profile["id"] for profile in await rig.profiles()}
    return [found[user] for user in users]


def replayed(rows: Iterable[ProfileEvent]) -> dict[str, list[str]]:
    """What is on, as a reader of the stream holds it: each row once, its changes applied, nothing else known."""
    held: dict[str, set[str]] = {}
    seen: set[tuple[str, int]] = set()
    for row in sorted(rows, key=lambda row: row.seq):
        if not isinstance(row, EventRow | MergeRow | TombstoneRow) or (row.profile_id, row.seq) in seen:
            continue
        seen.add((row.profile_id, row.seq))
        if isinstance(row, EventRow | MergeRow):
            for tag, on in row.tags.items():
                mine = held.setdefault(row.profile_id, set())
                assert (tag in mine) is not on, "a row tells changes only"
                mine ^= {tag}
        else:
            held.pop(row.profile_id, None)
    return {profile: sorted(tags) for profile, tags in held.items() if tags}


async def stored(rig: Rig) -> dict[str, list[str]]:
    return {profile["id"]: profile["tags"] for profile in await rig.profiles() if profile["tags"]}


async def tag_rows(rig: Rig) -> list[EventRow]:
    return [row for row in await rig.rows() if isinstance(row, EventRow) and row.tags]


async def test_a_late_event_does_not_override_a_later_one(rig: Rig) -> None:
    async with rig.worker():
        for tag, on, at in [("vip", True, 10), ("vip", False, 20), ("vip", True, 15), ("gold", True, 5)]:
            await send_tag(rig, tag, on, T0 + at, user="u1")
        await send_tag(rig, "list:beta", True, T0 + 30, user="u1")
    [profile] = await rig.profiles()
    assert profile["tags"] == ["gold"]
    assert [row.tags for row in await tag_rows(rig)] == [{"vip": True}, {"vip": False}, {"gold": True}]
    times = await rig.pool.fetchval("SELECT tag_times::text FROM profile")
    assert times == f'{{"vip": {T0 + 20}, "gold": {T0 + 5}}}'


async def test_a_merge_unites_tags_and_its_row_tells_what_changed_on_the_winner(rig: Rig) -> None:
    async with rig.worker():
        for tag, on, at in [("both", True, 1), ("gone", True, 2), ("mine", True, 3)]:
            await send_tag(rig, tag, on, T0 + at, user="u1")
        for tag, on, at in [("both", True, 9), ("gone", False, 9), ("mine", False, 2), ("new", True, 1)]:
            await send_tag(rig, tag, on, T0 + at, anonymous="a1")
        await rig.send(event("identify", user="u1", anonymous="a1", at=T0 + 20))
        await rig.processed()
    [profile] = await rig.profiles()
    assert profile["tags"] == ["both", "mine", "new"]
    [row] = [row for row in await rig.rows() if isinstance(row, MergeRow)]
    assert row.tags == {"gone": False, "new": True}


async def test_tags_are_changed_by_hand_and_each_change_is_a_row(rig: Rig, api: httpx.AsyncClient) -> None:
    [customer] = await customers(rig, "u1")
    path = f"/v1/profiles/{customer}/tags"
    answer = await api.post(path, json={"add": ["vip", " gold "], "remove": ["old"]})
    assert (answer.status_code, answer.json()) == (200, {"id": customer, "tags": ["gold", "vip"]})
    assert (await api.post(path, json={"remove": ["vip"], "add": ["gold"]})).json()["tags"] == ["gold"]
    # the clock of a quiet partition stands still, its tags do not
    assert (await api.post(path, json={"add": ["vip"]})).json()["tags"] == ["gold", "vip"]
    await rig.processed()
    rows = await tag_rows(rig)
    assert [(row.event, bytes(row.properties), row.tags) for row in rows] == [
        ("Tag Added", b'{"tag":"vip"}', {"vip": True}),
        ("Tag Added", b'{"tag":"gold"}', {"gold": True}),
        ("Tag Removed", b'{"tag":"vip"}', {"vip": False}),
        ("Tag Added", b'{"tag":"vip"}', {"vip": True}),
    ]
    assert {(row.source, row.type, row.profile_id, row.user_id) for row in rows} == {
        ("headrace.api", "track", customer, "u1")
    }
    assert all(row.ts == row.time > 0 for row in rows)
    assert len({row.message_id for row in rows}) == 4
    found = (await api.get(f"/v1/profiles/{customer}")).json()
    assert (found["tags"], found["last_seen"]) == (["gold", "vip"], T0)
    exported = (await api.get(f"/v1/profiles/{customer}/export")).json()
    assert exported["profile"]["tags"] == ["gold", "vip"]


async def test_what_is_changed_by_hand_outlives_older_events_that_come_later(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    [customer] = await customers(rig, "u1")
    await api.post(f"/v1/profiles/{customer}/tags", json={"add": ["vip"], "remove": ["old"]})
    await send_tag(rig, "vip", False, T0, user="u1")
    await send_tag(rig, "old", True, T0, user="u1")
    assert await stored(rig) == {customer: ["vip"]}


@pytest.mark.parametrize("where", ["header", "body"])
async def test_a_repeated_request_changes_nothing(rig: Rig, api: httpx.AsyncClient, where: str) -> None:
    [customer] = await customers(rig, "u1")
    path = f"/v1/profiles/{customer}/tags"
    headers = {"Idempotency-Key": "k1"} if where == "header" else {}
    body: dict[str, Any] = {"add": ["vip"], **({} if headers else {"id": "k1"})}
    answers = await asyncio.gather(*(api.post(path, json=body, headers=headers) for _ in range(4)))
    assert {answer.text for answer in answers} == {answers[0].text}
    await api.post(path, json={"remove": ["vip"]})
    again = await api.post(path, json=body, headers=headers)
    assert (again.status_code, again.json()["tags"]) == (200, [])
    other = await api.post(path, json={**body, "add": ["gold"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "id_reused")
    await rig.processed()
    assert [row.tags for row in await tag_rows(rig)] == [{"vip": True}, {"vip": False}]


async def test_a_merged_id_stands_for_what_it_became_and_who_is_unknown_is_404(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    [winner] = await customers(rig, "u1")
    await rig.send(event(anonymous="a1"))
    await rig.processed()
    [loser] = [profile["id"] for profile in await rig.profiles() if profile["id"] != winner]
    await merge(rig.pool, loser, winner, len(rig.partitions))
    answer = await api.post(f"/v1/profiles/{loser}/tags", json={"add": ["vip"]})
    assert answer.json() == {"id": winner, "tags": ["vip"]}
    for _ in range(2):
        unknown = await api.post("/v1/profiles/nobody/tags", json={"add": ["vip"], "id": "k1"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_profile")
    assert await rig.pool.fetchval("SELECT count(*) FROM tag_request WHERE id = 'one/k1'") == 0


async def test_many_changes_at_once_with_static_lists(rig: Rig, api: httpx.AsyncClient) -> None:
    first, second = await customers(rig, "u1", "u2")
    body = {
        "id": "import-1",
        "changes": [
            {"profile_id": first, "tag": "list:beta", "on": True},
            {"profile_id": "nobody", "tag": "list:beta", "on": True},
            {"profile_id": second, "tag": "list:beta", "on": True},
            {"profile_id": second, "tag": "list:beta", "on": False},
            {"profile_id": first, "tag": "list:beta", "on": True},
            {"profile_id": "nobody", "tag": "vip", "on": True},
            {"profile_id": first, "tag": "vip", "on": True},
        ],
    }
    answers = [await api.post("/v1/tags", json=body)]
    await api.post(f"/v1/profiles/{first}/tags", json={"remove": ["vip"]})
    answers += await asyncio.gather(*(api.post("/v1/tags", json=body) for _ in range(3)))
    for answer in answers:
        assert answer.json() == {"applied": 4, "unchanged": 1, "unknown": ["nobody"]}
    await rig.processed()
    assert await stored(rig) == {first: ["list:beta"]}
    rows = [(row.event, bytes(row.properties), row.profile_id) for row in await tag_rows(rig)]
    assert sorted(rows) == sorted(
        [
            ("List Joined", b'{"list":"beta"}', first),
            ("List Joined", b'{"list":"beta"}', second),
            ("List Left", b'{"list":"beta"}', second),
            ("Tag Added", b'{"tag":"vip"}', first),
            ("Tag Removed", b'{"tag":"vip"}', first),
        ]
    )
    reused = await api.post("/v1/tags", json={**body, "changes": []})
    assert (reused.status_code, reused.json()["code"]) == (409, "id_reused")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("profiles/p1/tags", {"add": ["list:beta"]}),
        ("profiles/p1/tags", {"add": ["vip"], "remove": [" vip"]}),
        ("profiles/p1/tags", {"add": [" "]}),
        ("profiles/p1/tags", {"remove": ["a\x00b"]}),
        ("profiles/p1/tags", {"add": "vip"}),
        ("profiles/p1/tags", {"tags": ["vip"]}),
        ("profiles/p1/tags", {"add": ["vip"], "id": "a\x00b"}),
        ("profiles/%00/tags", {"add": ["vip"]}),
        ("tags", {"changes": []}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "p1", "tag": "list:", "on": True}]}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "p1", "tag": "x" * 101, "on": True}]}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "a\x00", "tag": "vip", "on": True}]}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "p1", "tag": "a\x85b", "on": True}]}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "p1", "tag": "vip", "on": "yes"}]}),
        ("tags", {"id": "k1", "changes": [{"profile_id": "p1", "tag": "vip", "on": True}] * 1_001}),
    ],
)
async def test_a_wrong_request_is_400_and_changes_nothing(
    rig: Rig, api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await api.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await rig.pool.fetchval("SELECT count(*) FROM tag_request") == 0


async def test_half_a_character_is_no_tag(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/profiles/p1/tags", content=b'{"add": ["\\ud800"]}')
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_full_profile_takes_no_further_tag(rig: Rig, api: httpx.AsyncClient) -> None:
    [customer] = await customers(rig, "u1")
    path = f"/v1/profiles/{customer}/tags"
    full = await api.post(path, json={"add": [f"t{n}" for n in range(MAX_TAGS)]})
    assert len(full.json()["tags"]) == MAX_TAGS
    refused = await api.post(path, json={"add": ["further"], "remove": ["t1"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_tags")
    many = {"id": "k1", "changes": [{"profile_id": customer, "tag": "further", "on": True}]}
    assert (await api.post("/v1/tags", json=many)).json() == {"applied": 0, "unchanged": 1, "unknown": []}
    await send_tag(rig, "further", True, T0 + 1, user="u1")
    assert (await api.get(f"/v1/profiles/{customer}")).json()["tags"] == full.json()["tags"]


async def test_an_erased_customers_tags_are_gone(rig: Rig, api: httpx.AsyncClient) -> None:
    [customer] = await customers(rig, "u1")
    await api.post(f"/v1/profiles/{customer}/tags", json={"add": ["vip"]})
    await api.delete(f"/v1/profiles/{customer}")
    left = await rig.pool.fetchval("SELECT tags::text || tag_times::text FROM profile")
    assert left == "[]{}"
    assert (await api.post(f"/v1/profiles/{customer}/tags", json={"add": ["vip"]})).status_code == 404
    many = {"id": "k1", "changes": [{"profile_id": customer, "tag": "vip", "on": True}]}
    assert (await api.post("/v1/tags", json=many)).json()["unknown"] == [customer]


async def test_whatever_changes_tags_at_once_the_stream_tells_what_is_held(rig: Rig) -> None:
    """Events, late ones among them, merges and requests by hand, each request twice, on the same people."""
    chance = random.Random(4)
    q = len(rig.partitions)
    async with rig.worker(), rig.worker():
        known = await customers(rig, *(f"u{n}" for n in range(4)))
        for number in range(30):
            changes = [TagChange(chance.choice(known), f"t{chance.randrange(3)}", chance.random() < 0.6)] * 3
            request = TagRequest(f"r{number}", changes)
            who: dict[str, Any] = (
                {"user": f"u{chance.randrange(4)}"} if number % 2 else {"anonymous": f"a{number}"}
            )
            tag, name = f"t{chance.randrange(12)}", chance.choice(["Tag Added", "Tag Removed"])
            at = T0 + chance.randrange(100)
            visitors = [one["id"] for one in await rig.profiles() if one["user_id"] is None]
            await asyncio.gather(
                rig.send(event(name=name, properties={"tag": tag}, at=at, **who)),
                change_tags(rig.pool, request, q),
                change_tags(rig.pool, request, q),
                merge(rig.pool, chance.choice([*visitors, "nobody"]), chance.choice(known), q),
            )
        await rig.processed()
    rows = await rig.rows()
    assert any(isinstance(row, MergeRow) and row.tags for row in rows)
    live = await stored(rig)
    assert live
    assert replayed(rows) == live
    for number in range(q):
        lows = [(row.low, row.time) for row in await rig.published(number) if isinstance(row, EventRow)]
        assert all(low <= time for low, time in lows)
