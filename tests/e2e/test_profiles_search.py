"""Search: by identifiers, names and traits, each customer once, over all pages."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from services.profiles import search_sql
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig

CARD = msgspec.Raw(b'{"externalIds":[{"id":"CARD-77","type":"card"}]}')


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the admin token, beside a running worker."""
    async with rig.worker() as worker, rig.api(worker) as client:
        yield client


async def customer(rig: Rig, user: str, **traits: Any) -> None:
    await rig.send(event("identify", user=user, traits=traits))


async def users(api: httpx.AsyncClient, limit: int = 50, **asked: Any) -> list[str]:
    """User ids in the order found, over all pages."""
    found, params = [], {"limit": limit, **asked}
    while True:
        answer = await api.get("/v1/profiles", params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += [one["user_id"] for one in page["items"]]
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


async def test_by_any_identifier_whole_or_its_beginning(rig: Rig, api: httpx.AsyncClient) -> None:
    await customer(rig, "u-1", email="Jana@Example.com", phone="+420 601 000 001")
    await rig.send(event(user="u-1", context=CARD))
    await customer(rig, "u-2", email="petr@example.com", phone="+420601000002")
    await rig.processed()
    for query, expected in [
        ("u-1", ["u-1"]),
        ("JANA@example.com", ["u-1"]),
        (" jana@", ["u-1"]),
        ("+420601000001", ["u-1"]),
        ("+420 601 000", ["u-1", "u-2"]),
        ("601 000 002", ["u-2"]),
        ("CARD-7", ["u-1"]),
        ("card-7", []),
        ("u_", []),
        ("%", []),
        ("\U0010ffff", []),
        ("'", []),
    ]:
        assert await users(api, query=query) == expected, query


async def test_each_customer_once_however_many_of_its_names_match(rig: Rig, api: httpx.AsyncClient) -> None:
    """In the order of the first that matches; one customer's visits do not fill a page."""
    for number in range(7):
        await customer(rig, f"same-{number}", email=f"same.{number}@example.com", firstName=f"Same{number}")
        await rig.send(
            *(event(user=f"same-{number}", anonymous=f"same:{number}:{visit}") for visit in range(number))
        )
    await customer(rig, "other", name="Samer")
    await rig.processed()
    expected = [f"same-{number}" for number in range(7)] + ["other"]
    for limit in (1, 2, 3, 8, 50):
        assert await users(api, limit, query="same") == expected


async def test_by_the_beginning_of_a_name_whatever_case_and_accents(rig: Rig, api: httpx.AsyncClient) -> None:
    await customer(rig, "1", firstName="Jana", lastName="Nováková")
    await customer(rig, "2", first_name="Jan", last_name="Novák")
    await customer(rig, "3", name="Łukasz  Żółty")
    await customer(rig, "4", firstName="Дмитрий")
    await customer(rig, "5", name="Weiß")
    await customer(rig, "6", plan="jan")
    await rig.processed()
    for query, expected in [
        ("jan", ["2", "1"]),
        ("JANA", ["1"]),
        ("novak", ["2", "1"]),
        ("Nováková J", ["1"]),
        ("jan nov", ["2"]),
        ("lukasz zol", ["3"]),
        ("ZOLTY", ["3"]),
        ("дмит", ["4"]),
        ("weiss", ["5"]),
        ("ovak", []),
        ("\u0301", []),
        ("%", []),
    ]:
        for limit in (1, 50):
            assert await users(api, limit, query=query) == expected, query


async def test_a_name_follows_what_is_known_now(rig: Rig, api: httpx.AsyncClient) -> None:
    await customer(rig, "u1", firstName="Jana")
    await rig.processed()
    await rig.send(event("identify", user="u1", traits={"firstName": "Petra"}, at=T0 + 1))
    await rig.processed()
    assert await users(api, query="jana") == []
    assert await users(api, query="petra") == ["u1"]
    [stored] = await rig.profiles()
    assert (await api.delete(f"/v1/profiles/{stored['id']}")).status_code == 200
    assert await users(api, query="petra") == await users(api, query="u1") == []


async def test_by_a_trait_that_equals_a_value(rig: Rig, api: httpx.AsyncClient) -> None:
    for number in range(9):
        await customer(
            rig, f"u{number}", city="Brno" if number % 3 else "Praha", age=number, address={"postalCode": "602 00"}
        )
    await customer(rig, "text", age="4", vip=True, first_name="Jana")
    await rig.processed()
    brno = sorted(await users(api, trait="city", value="Brno"))
    assert brno == ["u1", "u2", "u4", "u5", "u7", "u8"]
    assert sorted(await users(api, 2, trait="city", value="Brno")) == brno
    assert sorted(await users(api, trait="age", value="4")) == ["text", "u4"]
    assert await users(api, trait="vip", value="true") == ["text"]
    assert await users(api, trait="firstName", value="Jana") == ["text"]
    assert len(await users(api, trait="address.postal_code", value="602 00")) == 9
    for trait, value in [("city", "brno"), ("age", "1e999"), ("age", "[]"), ("nothing", "null")]:
        assert await users(api, trait=trait, value=value) == []


async def test_a_frequent_value_is_found_a_part_at_a_time_in_the_same_order(
    rig: Rig, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        await customer(rig, f"u{number}", plan="gold" if number % 4 else 7, first_name="Jana")
    await rig.processed()
    for trait, value, count in [("plan", "gold", 30), ("plan", "7", 10), ("firstName", "Jana", 40)]:
        few = await users(api, 7, trait=trait, value=value)
        with monkeypatch.context() as patch:
            patch.setattr(search_sql, "FEW", 2)
            assert await users(api, 7, trait=trait, value=value) == few
            assert await users(api, 200, trait=trait, value=value) == few
        assert len(few) == len({*few}) == count


async def test_what_is_no_search_is_told_so(api: httpx.AsyncClient) -> None:
    for params in [
        {"trait": "city"},
        {"value": "Brno"},
        {"query": "a", "trait": "city", "value": "Brno"},
        {"trait": "a..b", "value": "1"},
        {"trait": "computed.total", "value": "1"},
        {"query": "x" * 300},
        {"query": "a\0"},
        {"query": "a", "cursor": "no cursor"},
        {"query": "a", "cursor": "WyJhIl0"},
        {"spelling": "kebab"},
    ]:
        answer = await api.get("/v1/profiles", params=params)
        assert answer.status_code == 400, params
        assert answer.json()["code"] in {"invalid_request", "invalid_cursor"}
