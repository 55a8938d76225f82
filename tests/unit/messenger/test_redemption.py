"""Codes that come back, on the real ledger: each once, by whomever, whenever."""

import asyncio
from random import Random

from headrace.contracts.profile_event import ErasureRow
from tests.unit.messenger.rig import START, Rig, campaign, eventually
from tests.unit.messenger.test_journeys import DAY, SEND, Town, town  # noqa: F401
from tests.unit.messenger.voucher_rig import assign, pool, upload, used


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


async def test_history_redeems_what_was_given_before_it(rig: Rig) -> None:
    """Imported orders count; those from before the code was given name the same word by chance."""
    await pool(rig, code="SPRING24")
    await assign(rig, "e1")
    assert await used(rig, "p-e1", coupon="SPRING24", at=START - DAY, imported=True) == []
    assert await used(rig, "p-e1", coupon="SPRING24", at=START + DAY, imported=True) == [("SPRING24", "in_time")]


async def test_a_code_is_the_customers_whatever_they_were_called(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, "AAA-1", "AAA-2")
    await assign(rig, "e1", "e2")
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p-e1', 'p-new')")
    assert await used(rig, "p-new", coupon="AAA-1") == [("AAA-1", "in_time")]
    assert await used(rig, "p-e1", coupon="AAA-2", at=START + 1) == [("AAA-2", "by_another")]


async def waiting(rig: Rig, backends: int) -> bool:
    query = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    return int(await rig.pool.fetchval(query)) >= backends


async def test_customers_who_use_each_others_codes_at_once_do_not_wait_for_ever(rig: Rig) -> None:
    await pool(rig)
    await upload(rig, *(f"CODE-{n}" for n in range(20)))
    await assign(rig, *(f"e{n}" for n in range(20)))
    codes = [f"code-{n}" for n in range(20)]

    async def order(number: int) -> list[tuple[str, str]]:
        named = Random(number).sample(codes, 20)
        return await used(rig, f"p-{number}", at=START + number, products=[{"coupon": code} for code in named])

    async with asyncio.timeout(30), rig.pool.acquire() as other:
        # so that all of them hold what they lock first, and wait
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM voucher_code WHERE code = 'CODE-10' FOR UPDATE")
        orders = asyncio.gather(*(order(number) for number in range(6)))
        await eventually(lambda: waiting(rig, 6))
        await transaction.rollback()
        found = await orders
    assert sorted(code for one in found for code, _ in one) == sorted(code.upper() for code in codes)


async def test_an_erased_customer_leaves_a_used_code_and_nothing_else(town: Town) -> None:  # noqa: F811
    rig = town.rig
    await pool(rig)
    await upload(rig, "AAA-1")
    await rig.define(campaign(steps=[{"voucher": {"pool": "spring"}}, SEND]))
    await town.enters("p1", "e1")
    await town.does("p1", "Order Completed", coupon="AAA-1", order_id="order-7")
    await town.row(ErasureRow(seq=0, epoch=1, time=START, low=START, profile_id="p1"))
    (row,) = await rig.pool.fetch("SELECT * FROM voucher_code")
    assert (row["code"], row["assigned_at"], row["redeemed"]) == ("AAA-1", START, "in_time")
    assert [row[name] for name in ("profile_id", "entry_id", "step", "order_id")] == [None] * 4
    assert (await town.entry())["voucher"] is None
    await upload(rig, "aaa-1")
    assert await assign(rig, "e9") == [None], "it is not given again when the file is uploaded again"
