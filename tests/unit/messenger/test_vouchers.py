"""Voucher codes: one for each wish, none twice, whoever asks at the same time; and what comes back."""

import asyncio
from typing import Any

import httpx
import pytest

from headrace.contracts.errors import InvalidDefinition
from headrace.contracts.profile_event import EventRow
from headrace.contracts.voucher import parse_voucher_pool
from services.messenger.definitions import Definitions
from services.messenger.journeys import VoucherWish
from services.messenger.redemption import redeem
from services.messenger.voucher_codes import VoucherCodes
from services.messenger.vouchers import Vouchers
from tests.unit.messenger.rig import START, TOKEN, Rig, campaign, eventually
from tests.unit.messenger.test_journeys import DAY, SEND, Town, done, told, town  # noqa: F401

POOL = {"kind": "vouchers", "id": "spring", "name": "Spring"}


async def pool(rig: Rig, **fields: Any) -> None:
    await Definitions(rig.pool).put("vouchers", parse_voucher_pool({**POOL, **fields}), START)


async def upload(rig: Rig, *codes: str) -> None:
    async def lines() -> Any:
        for code in codes:
            yield code

    await VoucherCodes(rig.pool).upload("spring", lines(), START)


async def assign(rig: Rig, *wishes: str) -> list[str | None]:
    asked = [VoucherWish("spring", "welcome", wish, "0", f"p-{wish}") for wish in wishes]
    async with rig.pool.acquire() as connection, connection.transaction():
        given_ = await Vouchers(Definitions(rig.pool)).assign(connection, asked, START)
    return [code["code"] if code is not None else None for code in given_.values()]


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


async def used(rig: Rig, profile_id: str, *, at: int = START, **properties: Any) -> list[Any]:
    row: EventRow = done(profile_id, "Order Completed", f"m{at}{profile_id}", at, properties)
    async with rig.pool.acquire() as connection, connection.transaction():
        found = await redeem(connection, [row])
    return [(new.update.properties["code"], new.update.properties["redeemed"]) for new in found]


async def test_a_code_is_redeemed_once_by_whom_it_was_given_to(rig: Rig) -> None:
    await pool(rig, expires_after="7d")
    await upload(rig, "AAA-1", "AAA-2", "AAA-3", "FREE-1")
    assert await assign(rig, "e1", "e2", "e3") == ["AAA-1", "AAA-2", "AAA-3"]
    assert await used(rig, "p-e1", coupon="aaa-1") == [("AAA-1", "in_time")]
    assert await used(rig, "p-e1", coupon="AAA-1", at=START + 1) == []
    assert await used(rig, "p-x", coupon="AAA-2") == [("AAA-2", "by_another")]
    assert await used(rig, "p-e3", coupon="AAA-3", at=START + 8 * DAY) == [("AAA-3", "late")]
    assert await used(rig, "p-e1", coupon="FREE-1") == [], "a code that was not given is nobody's"


async def test_a_shared_code_is_redeemed_by_each_who_got_it(rig: Rig) -> None:
    await pool(rig, code="SPRING24")
    await assign(rig, "e1", "e2")
    assert await used(rig, "p-x", coupon="SPRING24") == []
    assert await used(rig, "p-e2", coupon="SPRING24") == [("SPRING24", "in_time")]
    assert await used(rig, "p-e1", coupon="SPRING24") == [("SPRING24", "in_time")]


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
