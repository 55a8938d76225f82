"""Computed traits on real engines: defined, published, asked for by segments, deleted; what the API answers."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from headrace.contracts.computed_trait import ComputedTrait
from headrace.contracts.headers import SEQ, header
from headrace.contracts.topics import COMPUTED_TRAITS
from services.segmenter import keys
from services.segmenter.customer import Customer
from tests.e2e.segmenter_rig import Rig, Running, eventually, segmenter_rig

DAY = 86_400_000
SPENT = {"event": {"name": "Order Completed", "sum": {"of": "properties.total"}}}
ORDERS = {"event": {"name": "Order Completed", "count": {}, "within": "30d"}}
DAYS = {"event": {"name": "Order Completed", "days_since": {}}}
BIG = {"trait": {"name": "computed.total_spent", "gte": 100}}


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def published(rig: Rig) -> list[tuple[str, str, Any, str]]:
    """(profile, trait, value, reason) of every record, by partition."""
    values = [record.value or b"" for record in await rig.records_of(COMPUTED_TRAITS)]
    records = [msgspec.json.decode(value, type=ComputedTrait) for value in values]
    return [(one.profile.id, one.trait.id, one.traits[one.trait.id], one.trait.reason) for one in records]


async def values_of(running: Running, profile: str) -> dict[str, Any]:
    answer = await running.api.get(f"/v1/profiles/{profile}/traits")
    return {item["id"]: item["value"] for item in answer.json()["items"]} if answer.status_code == 200 else {}


async def test_a_trait_is_backfilled_published_and_follows_events_time_and_its_end(rig: Rig) -> None:
    await rig.event("p1", properties={"total": 40.5})
    async with rig.segmenter() as running:
        await rig.trait_live(running.api, "total_spent", SPENT)
        await rig.trait_live(running.api, "orders_30d", ORDERS)
        await eventually(lambda: _are(running, "p1", {"total_spent": 40.5, "orders_30d": 1}))
        await rig.event("p1", properties={"total": 60})
        await eventually(lambda: _are(running, "p1", {"total_spent": 100.5, "orders_30d": 2}))
        await rig.tick(30 * DAY)
        await eventually(lambda: _are(running, "p1", {"total_spent": 100.5}))
        assert (await running.api.delete("/v1/traits/total_spent")).json()["status"] == "deleted"
        await eventually(lambda: _are(running, "p1", {}))
        await eventually(lambda: _so_many(rig, 6))
    assert await published(rig) == [
        ("p1", "total_spent", 40.5, "definition"),
        ("p1", "orders_30d", 1, "definition"),
        ("p1", "orders_30d", 2, "event"),
        ("p1", "total_spent", 100.5, "event"),
        ("p1", "orders_30d", None, "time"),
        ("p1", "total_spent", None, "definition"),
    ]


async def test_a_rebuild_publishes_nothing_again_and_numbers_go_on(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.trait_live(running.api, "total_spent", SPENT)
        await rig.event("p1", properties={"total": 1})
        await eventually(lambda: _so_many(rig, 1))
        before = [record.value for record in await rig.records_of(COMPUTED_TRAITS)]
        await running.api.post("/v1/rebuild", json={})
        await eventually(lambda: _are(running, "p1", {"total_spent": 1}))
        await rig.event("p1", properties={"total": 2})
        await eventually(lambda: _so_many(rig, 2))
    records = await rig.records_of(COMPUTED_TRAITS)
    assert [record.value for record in records][:1] == before
    assert [header(record.headers, SEQ) for record in records] == [b"1", b"2"]
    sequences = [msgspec.json.decode(record.value or b"")["trait"]["sequence"] for record in records]
    assert sequences == [1, 2]


async def test_a_segment_asks_for_a_computed_trait_and_its_changes_carry_the_values(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.trait_live(running.api, "total_spent", SPENT)
        await rig.live(running.api, "big", BIG)
        await rig.event("p1", properties={"total": 99})
        await rig.event("p1", properties={"total": 1})
        await eventually(lambda: _changes(rig, [("p1", "big", "entered")]))
        change = msgspec.json.decode((await rig.change_records())[0].value or b"")
        assert change["context"]["traits"] == {"computed.total_spent": 100}
        explained = (await running.api.get("/v1/segments/big/explain/p1")).json()
        assert explained["when"]["value"] == 100
        assert len(explained["when"]["events"]) == 2
        verified = (await running.api.post("/v1/segments/big/verify", json={})).json()
        assert (verified["checked"], verified["mismatches"]) == (1, 0)
        counted = (await running.api.post("/v1/segments/preview", json={"when": BIG})).json()
        assert counted["count"] == 1


async def test_what_is_not_there_is_refused_and_what_is_in_use_is_kept(rig: Rig) -> None:
    async with rig.segmenter() as running:
        api = running.api
        await rig.trait_live(api, "total_spent", SPENT)
        wrong = {
            "kind": "segment",
            "id": "x",
            "name": "X",
            "when": {"trait": {"name": "computed.total_spend", "gt": 1}},
        }
        answer = await api.put("/v1/segments/x", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["problems"][0]["suggestion"] == "did you mean computed.total_spent?"
        await rig.live(api, "big", BIG)
        refused = await api.delete("/v1/traits/total_spent")
        assert (refused.status_code, refused.json()["code"]) == (409, "trait_in_use")
        assert "big" in refused.json()["message"]
        assert (await api.delete("/v1/segments/big")).status_code == 200
        assert (await api.delete("/v1/traits/total_spent")).status_code == 200
        for method, path in (
            ("GET", "/v1/traits/total_spent"),
            ("DELETE", "/v1/traits/a%00b"),
            ("GET", "/v1/segments/trait:total_spent"),
            ("DELETE", "/v1/segments/trait:total_spent"),
        ):
            assert (await api.request(method, path)).status_code == 404, path
        assert (await api.get("/v1/traits")).json()["items"] == []
        assert (await api.get("/v1/segments")).json()["items"] == []


async def test_verify_finds_a_value_that_is_not_what_the_history_says(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.trait_live(running.api, "total_spent", SPENT)
        await rig.event("p1", properties={"total": 1.5})
        await eventually(lambda: _are(running, "p1", {"total_spent": 1.5}))
        found = (await running.api.post("/v1/traits/total_spent/verify")).json()
        assert found == {"checked": 1, "mismatches": 0, "skipped": 0, "examples": []}
        key = keys.customers(rig.q("p1"))
        packed = await running.redis.hget(key, "p1")
        assert isinstance(packed, bytes)
        customer = Customer.unpack(packed, "p1")
        customer.computed["total_spent"] = 1, 0, b"2"
        await running.redis.hset(key, "p1", customer.pack())
        found = (await running.api.post("/v1/traits/total_spent/verify")).json()
        assert found["examples"] == [{"profile_id": "p1", "published": 2, "expected": 1.5}]
        assert (await running.api.post("/v1/traits/nothing/verify")).status_code == 404


async def test_a_preview_says_how_the_values_would_lie(rig: Rig) -> None:
    async with rig.segmenter() as running:
        for number in range(1, 5):
            await rig.event(f"p{number}", properties={"total": 10 * number})
        await rig.live(running.api, "buyers", {"event": {"name": "Order Completed"}})
        await eventually(lambda: _members(running, 4))
        found = (await running.api.post("/v1/traits/preview", json={"value": SPENT})).json()
    assert found["count"] == 4
    assert {item["value"] for item in found["sample"]} == {10, 20, 30, 40}
    assert (found["numbers"]["least"], found["numbers"]["greatest"]) == (10, 40)


async def test_the_days_since_are_counted_for_who_is_silent(rig: Rig) -> None:
    async with rig.segmenter() as running:
        await rig.trait_live(running.api, "days", DAYS)
        await rig.live(running.api, "gone", {"trait": {"name": "computed.days", "gte": 2}})
        await rig.event("p1")
        await rig.tick(DAY - 1)
        await rig.tick(1)
        await eventually(lambda: _are(running, "p1", {"days": 1}))
        await rig.tick(DAY)
        await eventually(lambda: _changes(rig, [("p1", "gone", "entered")]))
        await eventually(lambda: _so_many(rig, 3))
    assert [value for _, _, value, _ in await published(rig)] == [0, 1, 2]


async def _are(running: Running, profile: str, expected: dict[str, Any]) -> bool:
    return await values_of(running, profile) == expected


async def _so_many(rig: Rig, expected: int) -> bool:
    return len(await published(rig)) >= expected


async def _changes(rig: Rig, expected: list[tuple[str, str, str]]) -> bool:
    return await rig.changes() == expected


async def _members(running: Running, expected: int) -> bool:
    return (await running.api.get("/v1/segments/buyers")).json()["size"] == expected  # type: ignore[no-any-return]
