"""HTTP of the profile service (DESIGN §5)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from headrace.contracts.ids import profile_id
from headrace.contracts.profile_event import ControlRow, ErasureRow, MergeRow
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig

UNKNOWN = [("email", "a@example.com"), ("email", "no address"), ("card", "")]
ROUTES = [
    ("GET", "/v1/profiles"),
    ("GET", "/v1/profiles/count"),
    ("GET", "/v1/profiles/lookup?type=email&value=a"),
    ("GET", "/v1/profiles/p1"),
    ("GET", "/v1/profiles/p1/events"),
    ("GET", "/v1/profiles/p1/sessions"),
    ("GET", "/v1/profiles/p1/messages"),
    ("GET", "/v1/profiles/p1/export"),
    ("DELETE", "/v1/profiles/p1"),
    ("POST", "/v1/profiles/p1/merge"),
    ("POST", "/v1/profiles/p1/tags"),
    ("POST", "/v1/tags"),
    ("POST", "/v1/control"),
    ("GET", "/v1/identifiers/quarantined"),
    ("POST", "/v1/identifiers/release"),
]


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the admin token, beside a running worker."""
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


async def merged_customer(rig: Rig) -> None:
    """u1, who was first seen as the visitor a1 and then logged in."""
    await rig.send(event(anonymous="a1", at=T0, name="Visited"))
    await rig.send(event("identify", user="u1", traits={"email": "Jana@example.com"}, at=T0 + 1))
    await rig.processed()
    await rig.send(event("identify", user="u1", anonymous="a1", at=T0 + 2))
    await rig.processed()


async def test_a_profile_by_id_by_merged_id_and_by_identifier(rig: Rig, api: httpx.AsyncClient) -> None:
    await merged_customer(rig)
    [stored] = await rig.profiles()
    profile = (await api.get(f"/v1/profiles/{stored['id']}")).json()
    assert set(profile) == {
        "id", "user_id", "traits", "consents", "computed", "tags", "first_seen", "last_seen",
        "identifiers", "merged_from", "last_known",
    }  # fmt: skip
    assert profile["traits"] == {"email": "Jana@example.com"}
    assert (profile["first_seen"], profile["last_seen"]) == (T0, T0 + 2)
    named = [(one["type"], one["value"]) for one in profile["identifiers"]]
    assert named == [("anonymous_id", "a1"), ("email", "jana@example.com"), ("user_id", "u1")]
    [loser] = profile["merged_from"]
    assert (await api.get(f"/v1/profiles/{loser}")).json() == profile
    for kind, value in [("user_id", "u1"), ("anonymous_id", "a1"), ("email", " JANA@Example.com")]:
        found = await api.get("/v1/profiles/lookup", params={"type": kind, "value": value})
        assert found.json() == profile


async def test_who_is_unknown_is_404(api: httpx.AsyncClient) -> None:
    paths = ["nobody", *(f"nobody/{part}" for part in ("events", "sessions", "messages", "export"))]
    paths += [f"lookup?type={kind}&value={value}" for kind, value in UNKNOWN]
    for path in paths:
        answer = await api.get(f"/v1/profiles/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_profile"), path


async def test_profiles_are_listed_counted_and_found_by_the_beginning_of_an_identifier(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await rig.send(*(event("identify", user=f"user-{n}", traits={"email": f"c{n}@example.com"}) for n in range(5)))
    await rig.processed()
    assert (await api.get("/v1/profiles/count")).json() == {"count": 5}
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get("/v1/profiles", params={"limit": 2, "cursor": cursor})).json()
        ids += [profile["id"] for profile in page["items"]]
        cursor = page["next"]
    assert ids == sorted({profile["id"] for profile in await rig.profiles()})
    for query, count in [("user-3", 1), ("C1@", 1), ("user-", 5), ("%", 0), ("nobody", 0)]:
        found = (await api.get("/v1/profiles", params={"query": query})).json()["items"]
        assert len(found) == count, query


async def test_history_is_newest_first_over_all_pages_and_merged_profiles(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await merged_customer(rig)
    [stored] = await rig.profiles()
    rows: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.get(f"/v1/profiles/{stored['id']}/events", params=params)).json()
        rows += page["items"]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert sorted(row["kind"] for row in rows) == ["event", "event", "event", "merge", "tombstone"]
    order = [(row["time"], row["partition"], row["seq"]) for row in rows]
    assert order == sorted(order, reverse=True)
    assert [row["event"] for row in rows if "event" in row] == ["Visited"]
    bad = await api.get(f"/v1/profiles/{stored['id']}/events", params={"cursor": "x"})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_cursor")


async def test_an_export_holds_the_profile_and_all_its_rows(rig: Rig, api: httpx.AsyncClient) -> None:
    await merged_customer(rig)
    [stored] = await rig.profiles()
    exported = (await api.get(f"/v1/profiles/{stored['id']}/export")).json()
    assert exported["profile"]["id"] == stored["id"]
    assert len(exported["events"]) == 5
    assert exported["consents"] == {"current": [], "history": []}
    assert set(exported["traits"]) == set(stored["traits"])
    assert [one["kind"] for one in exported["decisions"]] == ["merged"]
    assert exported["incomplete"] == ["messages", "segments", "segment_history"]  # nobody else runs
    [asked] = (await api.get("/v1/audit", params={"profile_id": stored["id"]})).json()["items"]
    assert (asked["action"], asked["actor"]) == ("export", "admin")


async def test_an_erased_person_is_gone_at_once_and_comes_back_as_somebody_new(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await merged_customer(rig)
    [stored] = await rig.profiles()
    merged_from = (await api.get(f"/v1/profiles/{stored['id']}")).json()["merged_from"]
    erased = await api.delete(f"/v1/profiles/{merged_from[0]}", params={"suppress": False})
    assert erased.json() == {"success": True}
    assert await rig.profiles() == []
    for gone in [stored["id"], *merged_from]:
        assert (await api.get(f"/v1/profiles/{gone}")).status_code == 404
        assert (await api.delete(f"/v1/profiles/{gone}")).status_code == 404
    assert await rig.pool.fetchval("SELECT count(*) FROM identifier") == 0
    kept = await rig.pool.fetchval("SELECT string_agg(traits::text || consents::text, '') FROM profile")
    assert set(kept) == set("{}")
    await rig.processed()
    [erasure] = [row for row in await rig.rows() if isinstance(row, ErasureRow)]
    assert erasure.profile_id == stored["id"]
    await rig.send(event("identify", user="u1", traits={"plan": "new"}))
    await rig.send_outcome(profile_id=stored["id"], outcome="delivered")
    await rig.processed()
    [again] = await rig.profiles()
    assert again["id"] != stored["id"]
    assert again["traits"] == {"plan": "new"}


async def test_two_profiles_are_merged_by_hand(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="u1", traits={"plan": "gold", "city": "Brno"}, at=T0))
    await rig.send(event("identify", anonymous="a1", traits={"city": "Praha"}, at=T0 + 1), event(user="u2"))
    await rig.processed()
    first, visitor, second = [
        (await api.get("/v1/profiles/lookup", params={"type": kind, "value": value})).json()["id"]
        for kind, value in [("user_id", "u1"), ("anonymous_id", "a1"), ("user_id", "u2")]
    ]
    for into, status in [(visitor, 200), (visitor, 200), (second, 409), ("nobody", 404)]:
        answer = await api.post(f"/v1/profiles/{first}/merge", json={"into": into})
        assert answer.status_code == status
    assert (await api.post(f"/v1/profiles/{first}/merge", json={})).status_code == 400
    await rig.processed()
    merged = (await api.get(f"/v1/profiles/{first}")).json()
    assert (merged["id"], merged["user_id"], merged["merged_from"]) == (visitor, "u1", [first])
    assert merged["traits"] == {"plan": "gold", "city": "Praha"}
    [row] = [row for row in await rig.rows() if isinstance(row, MergeRow)]
    assert (row.profile_id, row.loser, row.traits, row.user_id) == (visitor, first, {"plan": "gold"}, "u1")
    await rig.send(event("identify", user="u1", traits={"plan": "silver"}, at=T0 + 2))
    await rig.processed()
    assert (await api.get(f"/v1/profiles/{visitor}")).json()["traits"]["plan"] == "silver"


async def test_a_user_id_moves_to_the_profile_that_stays(rig: Rig, api: httpx.AsyncClient) -> None:
    """Whichever of the two ids sorts first: the database allows one live owner at any time."""
    orders = set()
    for n in range(4):
        await rig.send(event(user=f"u{n}", message_id=f"k{n}"), event(anonymous=f"a{n}", message_id=f"v{n}"))
        await rig.processed()
        known, visitor = profile_id("shop", f"k{n}"), profile_id("shop", f"v{n}")
        orders.add(known < visitor)
        assert (await api.post(f"/v1/profiles/{known}/merge", json={"into": visitor})).status_code == 200
        assert (await api.get(f"/v1/profiles/{known}")).json()["id"] == visitor
    assert orders == {True, False}


async def test_a_control_is_one_row_per_partition_however_often_it_is_sent(
    rig: Rig, api: httpx.AsyncClient
) -> None:
    await rig.send(event(user="u1"))
    await rig.processed()
    body = {"id": "c1", "kind": "define", "payload": {"segment_id": "vip", "version": 1}}
    answers = await asyncio.gather(*(api.post("/v1/control", json=body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    await rig.processed()
    for q in rig.partitions:
        [control] = [row for row in await rig.published(q) if isinstance(row, ControlRow)]
        assert (control.id, control.control) == ("c1", "define")
        assert bytes(control.payload) == b'{"segment_id":"vip","version":1}'
        assert answers[0].json()["positions"][str(q)] == control.seq
        time = await rig.pool.fetchval("SELECT max(time) FROM timeline WHERE q = $1 AND kind = 'event'", q)
        assert control.time == (time or 0)


async def test_a_control_for_some_customers_goes_to_their_partitions(rig: Rig, api: httpx.AsyncClient) -> None:
    body = {"id": "c1", "kind": "resume", "payload": {}, "profile_ids": ["p1"]}
    answer = await api.post("/v1/control", json=body)
    await rig.processed()
    assert len(await rig.rows()) == len(answer.json()["positions"]) == 1


async def test_a_malformed_control_is_400(api: httpx.AsyncClient) -> None:
    for body in (b"", b"[]", b'{"id":"x"}', b'{"id":1,"kind":"define"}'):
        answer = await api.post("/v1/control", content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), body


async def test_every_route_needs_the_admin_token(api: httpx.AsyncClient) -> None:
    for method, path in ROUTES:
        for token in ("", "Bearer wrong"):
            answer = await api.request(method, path, headers={"Authorization": token})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
