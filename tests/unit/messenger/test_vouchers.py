"""Voucher codes: one for each wish, none twice, whoever asks at the same time."""

import asyncio
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.voucher import ALPHABET, parse_voucher_pool
from services.messenger.definitions import Definitions
from services.messenger.journeys import VoucherWish
from services.messenger.voucher_codes import VoucherCodes
from services.messenger.vouchers import Vouchers
from tests.unit.messenger.rig import START, TOKEN, Rig, campaign, eventually
from tests.unit.messenger.test_journeys import DAY, SEND, Town, told, town  # noqa: F401
from tests.unit.messenger.voucher_rig import POOL, assign, each_of, pool, upload


@pytest.mark.parametrize(
    "fields", [{}, {"generate": {"prefix": "S-", "length": 6}}, {"generate": {"length": 6, "at_most": 40}}]
)
async def test_many_at_once_get_a_code_each_and_none_twice(rig: Rig, fields: dict[str, Any]) -> None:
    await pool(rig, **fields)
    if not fields:
        await upload(rig, *(f"CODE{n}" for n in range(40)))
    wishes = [f"e{n}" for n in range(45)]
    # each wish is asked for three times, by others at the same time
    asked = [wish for wish in wishes for _ in range(3)]
    found = await asyncio.gather(*(assign(rig, wish) for wish in asked))
    by_wish = {
        wish: {codes[0] for wish_, codes in zip(asked, found, strict=True) if wish_ == wish} for wish in wishes
    }
    codes = [next(iter(given_)) for given_ in by_wish.values() if given_ != {None}]
    assert [given_ for given_ in by_wish.values() if len(given_) != 1] == []
    assert len(codes) == len(set(codes)) == (45 if fields == {"generate": {"prefix": "S-", "length": 6}} else 40)


async def test_what_is_rolled_back_was_not_given(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, "ONLY")
    async with rig.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        wish = VoucherWish("spring", "welcome", "e1", "0", "p1")
        given_ = await Vouchers(Definitions(rig.pool)).assign(connection, [wish], START)
        assert [code["code"] for code in given_.values() if code is not None] == ["ONLY"]
        await transaction.rollback()
    assert await assign(rig, "e2") == ["ONLY"]
    assert await assign(rig, "e3") == [None]


def counted(**counts: int) -> dict[str, int]:
    return {"free": 0, "assigned": 0, "redeemed": 0, "expired": 0} | counts


async def test_one_code_for_all_and_its_end(rig: Rig) -> None:
    await pool(rig, code="SPRING24", expires_after="7d", value="10 %")
    assert await assign(rig, "e1", "e2") == ["SPRING24", "SPRING24"]
    codes = VoucherCodes(rig.pool)
    assert await codes.counts(["spring"], START) == {"spring": counted(assigned=2)}
    assert await codes.counts(["spring"], START + 8 * DAY) == {"spring": counted(expired=2)}


async def test_a_journey_takes_a_code_and_a_template_shows_it(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await pool(rig, value="10 %")
    await upload(rig, "ONLY-ONE")
    template = {
        "kind": "template",
        "id": "hello",
        "channel": "sms",
        "text": "Code {{ voucher.code }} {{ voucher.value }}",
    }
    await rig.define(template, campaign(steps=[{"voucher": {"pool": "spring"}}, SEND]))
    await rig.customer("p2")
    await town.enters("p1", "e1")
    await town.enters("p2", "e2")
    assert town.texts() == ["Code ONLY-ONE 10 %"]
    found = {row["entry_id"]: (row["status"], row["reason"]) for row in await rig.entries()}
    assert found == {"e1": ("done", None), "e2": ("done", "no_voucher_left")}
    await eventually(lambda: told(rig, 1))
    (update,) = await rig.updates()
    assert (update.event, update.properties["code"], update.properties["pool_id"]) == (
        "Voucher Assigned",
        "ONLY-ONE",
        "spring",
    )
    await town.does("p1", "Order Completed", coupon="only-one", order_id=7)
    await eventually(lambda: told(rig, 2))
    assert {update.event for update in await rig.updates()} == {"Voucher Assigned", "Voucher Redeemed"}


async def test_an_optional_code_that_is_not_there_is_gone_without(town: Town) -> None:  # noqa: F811
    await pool(town.rig)
    await town.rig.define(campaign(steps=[{"voucher": {"pool": "spring", "optional": True}}, SEND]))
    await town.enters("p1", "e1")
    assert len(town.texts()) == 1


async def test_the_api_of_pools_and_codes(rig: Rig) -> None:
    messenger = await rig.assemble()
    transport = httpx.ASGITransport(app=messenger.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://m", headers=headers) as api:
        assert (await api.post("/v1/vouchers/spring/codes", content="A")).status_code == 404
        assert (await api.put("/v1/vouchers/spring", json=POOL)).json()["version"] == 1
        bad = await api.put("/v1/vouchers/spring", json={**POOL, "code": "X Y"})
        assert [problem["path"] for problem in bad.json()["problems"]] == ["code"]
        body = "code,note\r\nABC-1,x\r\nabc-1\r\nABC-2\r\nno good\r\n=X()"
        said = (await api.post("/v1/vouchers/spring/codes", content=body)).json()
        assert (said["added"], said["known"], said["invalid"]) == (2, 1, 2)
        assert [problem["line"] for problem in said["problems"]] == [5, 6]
        again = (await api.post("/v1/vouchers/spring/codes", content="ABC-1\nABC-2")).json()
        assert (again["added"], again["known"]) == (0, 2)
        assert (await api.get("/v1/vouchers/spring")).json()["counts"]["free"] == 2
        page = (await api.get("/v1/vouchers/spring/codes?limit=1")).json()
        rest = (await api.get(f"/v1/vouchers/spring/codes?cursor={page['next']}")).json()
        assert [item["code"] for item in page["items"] + rest["items"]] == ["ABC-1", "ABC-2"]
        export = await api.get("/v1/vouchers/spring/codes?format=csv")
        assert export.text.splitlines()[1].startswith("ABC-1,free,")
        assert (await api.post("/v1/vouchers/spring/codes", content=b"\xff\xfe")).status_code == 400
        await rig.define(campaign(steps=[{"voucher": {"pool": "spring"}}, SEND]))
        assert (await api.delete("/v1/vouchers/spring")).status_code == 409


def test_a_pool_has_one_kind_of_codes() -> None:
    with pytest.raises(InvalidDefinition):
        parse_voucher_pool({**POOL, "code": "ABC", "generate": {}})


async def test_who_is_killed_between_code_and_commit_has_given_nothing(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, "ONLY")
    async with rig.pool.acquire() as connection:
        await connection.execute("BEGIN")
        wish = VoucherWish("spring", "welcome", "e1", "0", "p1")
        given_ = await Vouchers(Definitions(rig.pool)).assign(connection, [wish], START)
        assert [code["code"] for code in given_.values() if code is not None] == ["ONLY"]
        # another asks for the same meanwhile, and waits
        other = asyncio.ensure_future(assign(rig, "e1"))
        await eventually(lambda: waits_for_a_lock(rig))
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        await rig.pool.execute("SELECT pg_terminate_backend($1)", backend)
        assert await other == ["ONLY"]
    assert await assign(rig, "e2") == [None]


async def waits_for_a_lock(rig: Rig) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(await rig.pool.fetchval(query))


@pytest.mark.parametrize("seed", range(8))
async def test_whoever_asks_for_whatever_at_the_same_time(rig: Rig, seed: int) -> None:
    """Batches of wishes of several pools, some asked for by others too, some rolled back, in any order: none waits
    for ever, no code is given twice, no wish has two."""
    random = Random(seed)
    definitions = Definitions(rig.pool)
    kinds: dict[str, dict[str, Any]] = {
        "uploaded": {},
        "made": {"generate": {"length": 6}},
        "few": {"generate": {"length": 6, "at_most": 7}},
        "fewer": {"generate": {"length": 6, "at_most": 5}},
        "shared": {"code": "SPRING"},
    }
    for name, fields in kinds.items():
        await definitions.put("vouchers", parse_voucher_pool({**POOL, "id": name, **fields}), START)
    await VoucherCodes(rig.pool).upload("uploaded", each_of(f"UP-{n}" for n in range(12)), START)
    wishes = [
        VoucherWish(random.choice([*kinds]), f"c{random.randrange(3)}", f"e{n}", "0", f"p{n}") for n in range(60)
    ]
    seen: dict[str, set[str | None]] = {}

    async def take(batch: list[VoucherWish], fails: bool) -> None:
        async with rig.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            found = await Vouchers(definitions).assign(connection, batch, START)
            await (transaction.rollback() if fails else transaction.commit())
        for (_, entry, _), code in found.items():
            if not fails:
                seen.setdefault(entry, set()).add(code["code"] if code is not None else None)

    batches = [random.sample(wishes, random.randrange(1, 9)) for _ in range(30)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(take(batch, random.random() < 0.25) for batch in batches))
        await take(wishes, fails=False)  # what was refused while others held the last codes, and gave them back
    assert {entry for entry, codes in seen.items() if len(codes - {None}) > 1} == set()
    got = {name: [*codes_of(name, wishes, seen)] for name in kinds}
    for name in ("uploaded", "made", "few", "fewer"):
        assert len(got[name]) == len(set(got[name]))
    asked = {name: sum(wish.pool_id == name for wish in wishes) for name in kinds}
    assert {name: len(codes) for name, codes in got.items()} == {
        **asked,
        "uploaded": min(12, asked["uploaded"]),
        "few": min(7, asked["few"]),
        "fewer": min(5, asked["fewer"]),
    }
    assert set(got["shared"]) <= {"SPRING"}


def codes_of(pool_id: str, wishes: list[VoucherWish], seen: dict[str, set[str | None]]) -> Iterator[str]:
    for wish in wishes:
        yield from (code for code in seen[wish.entry_id] if wish.pool_id == pool_id and code is not None)


async def test_a_pool_that_may_make_more_makes_more(rig: Rig) -> None:
    messenger = await rig.assemble()
    transport = httpx.ASGITransport(app=messenger.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://m", headers=headers) as api:

        async def may_make(**generate: int) -> None:
            body = {**POOL, "generate": {"length": 6, **generate}}
            assert (await api.put("/v1/vouchers/spring", json=body)).status_code == 200

        await may_make(at_most=2)
        assert [code is not None for code in await assign(rig, "e1", "e2", "e3")] == [True, True, False]
        await may_make()
        assert await assign(rig, "e3", "e4") != [None, None]
        await may_make(at_most=5)
        assert [code is not None for code in await assign(rig, "e5", "e6")] == [True, False]
        refused = await api.post("/v1/vouchers/spring/codes", content="ABC")
        assert (refused.status_code, refused.json()["code"]) == (409, "codes_of_its_own")


async def test_made_codes_are_as_the_pool_says(rig: Rig) -> None:
    await pool(rig, generate={"prefix": "SPRING-", "length": 8})
    for code in await assign(rig, *(f"e{n}" for n in range(20))):
        assert re.fullmatch(f"SPRING-[{ALPHABET}]{{8}}", code or "")


async def test_a_code_that_is_taken_already_is_made_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await pool(rig, generate={"length": 6})
    letters = iter("AAAAAA" * 2 + "AAAAAA" + "BBBBBB" + "CCCCCC")
    monkeypatch.setattr("services.messenger.vouchers.secrets.choice", lambda _: next(letters))
    assert await assign(rig, "e1") == ["AAAAAA"]
    assert set(await assign(rig, "e2", "e3")) == {"BBBBBB", "CCCCCC"}
