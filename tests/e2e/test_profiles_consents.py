"""The record of consent on real Postgres: by events, by outcomes, by API; kept whole, and the later word holds."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from headrace.contracts.instant import format_instant
from headrace.contracts.profile_event import EventRow
from services.profiles.merging import merge
from tests.e2e.profiles_rig import PARTITIONS, T0, Rig, event, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


async def say(rig: Rig, status: str, *, at: int = T0, user: str = "u1", **properties: Any) -> None:
    name = {"granted": "Consent Given", "withdrawn": "Consent Withdrawn"}[status]
    await rig.send(event(name=name, user=user, properties={"channel": "sms", **properties}, at=at))
    await rig.processed()


async def customer(rig: Rig, user: str = "u1") -> str:
    [found] = [profile["id"] for profile in await rig.profiles() if profile["user_id"] == user]
    return str(found)


async def consents(api: httpx.AsyncClient, profile_id: str, **query: Any) -> Any:
    return (await api.get(f"/v1/profiles/{profile_id}/consents", params=query)).raise_for_status().json()


async def test_every_declaration_is_kept_with_its_proof(rig: Rig, api: httpx.AsyncClient) -> None:
    await say(rig, "granted", at=T0, wording="2026-01", proof={"form": 7})
    await say(rig, "granted", at=T0 + 1, channel="email", purpose="research")
    await say(rig, "withdrawn", at=T0 + 2)
    await say(rig, "granted", at=T0 + 1, wording="late")  # older than what holds: kept, and changes nothing
    who = await customer(rig)
    await rig.send_outcome(profile_id=who, outcome="unsubscribed", channel="email", at=T0 + 3)
    await rig.processed()
    found = await consents(api, who)
    now = {(one["purpose"], one["channel"]): (one["status"], one["source"]) for one in found["current"]}
    assert now == {
        ("marketing", "sms"): ("withdrawn", "shop"),
        ("research", "email"): ("granted", "shop"),
        ("marketing", "email"): ("withdrawn", "headrace.messenger"),
    }
    told = [(one["channel"], one["status"], one["at"], one["wording"], one["proof"]) for one in found["items"]]
    assert sorted(told, key=str) == sorted(
        [
            ("sms", "granted", T0, "2026-01", {"form": 7}),
            ("email", "granted", T0 + 1, None, None),
            ("sms", "withdrawn", T0 + 2, None, None),
            ("sms", "granted", T0 + 1, "late", None),
            ("email", "withdrawn", T0 + 3, None, None),
        ],
        key=str,
    )
    [profile] = await rig.profiles()
    assert profile["consents"] == {
        "sms": {"status": "withdrawn", "time": T0 + 2},
        "research/email": {"status": "granted", "time": T0 + 1},
        "email": {"status": "withdrawn", "time": T0 + 3},
    }


async def test_consent_is_declared_by_api_once_per_request(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="u1"))
    await rig.processed()
    who = await customer(rig)
    body = {"channel": "SMS", "status": "granted", "source": "call centre", "wording": "3", "proof": "rec-1"}
    for _ in range(2):
        answer = await api.post(f"/v1/profiles/{who}/consents", json={**body, "id": "r1"})
        assert answer.status_code == 200, answer.text
    [only] = answer.json()["items"]
    assert (only["source"], only["wording"], only["proof"]) == ("call centre", "3", "rec-1")
    other = await api.post(f"/v1/profiles/{who}/consents", json={**body, "status": "withdrawn", "id": "r1"})
    assert (other.status_code, other.json()["code"]) == (409, "id_reused")
    later = await api.post(
        f"/v1/profiles/{who}/consents",
        json={"channel": "sms", "status": "withdrawn"},
        headers={"X-Actor": "ana"},
    )
    assert [one["status"] for one in later.json()["current"]] == ["withdrawn"]
    past = {"channel": "sms", "status": "granted", "at": format_instant(T0)}
    answer = await api.post(f"/v1/profiles/{who}/consents", json=past)
    assert [one["status"] for one in answer.json()["current"]] == ["withdrawn"]
    await rig.processed()
    told = [row.consents for row in await rig.rows() if isinstance(row, EventRow) and row.consents]
    assert told == [{"sms": "granted"}, {"sms": "withdrawn"}]
    audit = (await api.get("/v1/audit", params={"profile_id": who})).json()["items"]
    assert [(one["actor"], one["details"]["status"]) for one in audit] == [
        ("admin", "granted"),
        ("ana", "withdrawn"),
        ("admin", "granted"),
    ]


async def test_what_cannot_be_declared_is_refused(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="u1"))
    await rig.processed()
    who = await customer(rig)
    for body, status in [
        ({"channel": "no way", "status": "granted"}, 400),
        ({"channel": "sms", "status": "maybe"}, 400),
        ({"channel": "sms", "status": "granted", "purposes": "research"}, 400),
        ({"channel": "sms", "status": "granted", "at": "yesterday"}, 400),
        ({"channel": "sms", "status": "granted", "proof": "x" * 5000}, 413),
    ]:
        assert (await api.post(f"/v1/profiles/{who}/consents", json=body)).status_code == status
    missing = await api.post("/v1/profiles/nobody/consents", json={"channel": "sms", "status": "granted"})
    assert missing.status_code == 404


async def test_records_of_a_merged_customer_are_read_page_by_page(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", anonymous="a1"))
    await say(rig, "granted", user="u1")
    await rig.send(event(name="Consent Withdrawn", anonymous="a1", properties={"channel": "sms"}, at=T0))
    await rig.processed()
    visitor = next(one["id"] for one in await rig.profiles() if one["user_id"] is None)
    await merge(rig.pool, visitor, await customer(rig), PARTITIONS)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await consents(api, visitor, limit=1, **({"cursor": cursor} if cursor else {}))
        seen += [one["status"] for one in page["items"]]
        if not (cursor := page["next"]):
            break
    assert sorted(seen) == ["granted", "withdrawn"]
    assert [one["status"] for one in page["current"]] == ["withdrawn"]  # at equal times


async def test_preferences_are_a_trait_that_the_api_replaces(rig: Rig, api: httpx.AsyncClient) -> None:
    await rig.send(event("identify", user="u1", traits={"communication": {"channels": ["sms"]}}))
    await rig.processed()
    who = await customer(rig)
    wanted = {"channels": ["email"], "topics": ["offers"], "monthly_maximum": 4}
    for _ in range(2):
        answer = await api.put(f"/v1/profiles/{who}/preferences", json=wanted)
        assert answer.json() == {"id": who, "preferences": wanted}
    assert (await rig.profiles())[0]["traits"]["communication"] == wanted
    assert (await api.put(f"/v1/profiles/{who}/preferences", json={})).status_code == 200
    assert (await rig.profiles())[0]["traits"]["communication"] == {}
    await rig.processed()
    told = [row.traits["communication"] for row in await rig.rows() if isinstance(row, EventRow) and row.traits]
    assert told == [{"channels": ["sms"]}, wanted, {}]
    for body in ({"channels": "sms"}, {"monthly_maximum": -1}, {"topics": ["Not a topic"]}, {"other": 1}):
        assert (await api.put(f"/v1/profiles/{who}/preferences", json=body)).status_code == 400
    assert (await api.put("/v1/profiles/nobody/preferences", json={})).status_code == 404
