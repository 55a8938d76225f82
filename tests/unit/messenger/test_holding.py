"""A message that may not go yet waits, with a reason; one that is one too many is skipped, with a reason."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from headrace.contracts.policy import parse_policy
from services.messenger.assembly import Messenger
from services.messenger.claims import GONE_IDEMPOTENT_MS, Settlement
from services.messenger.customer import Customer
from services.messenger.prepare import phones_of
from services.messenger.providers.choose import CHANNELS
from services.messenger.providers.port import Accepted, Outgoing
from tests.unit.messenger.rig import MAIL, START, Rig, ScriptedProvider, campaign, eventually

NIGHT = {"from": "20:00", "to": "08:00"}
DAILY = [{"at_most": 1, "within": "1d"}]
MAIL_STEP = [{"send": {"channel": "email", "template": "hello-mail"}}]
EIGHT_IN_PRAGUE = int(datetime(2023, 11, 15, 7, tzinfo=UTC).timestamp() * 1000)
"""START is 22:13 UTC, the evening before."""


async def entered(rig: Rig, *entries: tuple[str, str]) -> None:
    """Segment changes (segment, entry) of p1, followed; nothing is sent."""
    before = len(await rig.messages())
    async with rig.running("follow"):
        for segment, entry in entries:
            await rig.enter("p1", entry, segment=segment)
        await eventually(partial(_count, rig, before + len(entries)))


async def _count(rig: Rig, wanted: int) -> bool:
    return len(await rig.messages()) == wanted


async def sent(rig: Rig, messenger: Messenger, *, limit: int = 10) -> list[Outgoing]:
    """What one claim hands over; it is accepted."""
    claims = [
        claim
        for channel in CHANNELS
        for claim in (await messenger.claims.claim(channel, limit, rig.clock())).claims
    ]
    if claims:
        await messenger.claims.settle([Settlement(claim, Accepted()) for claim in claims], rig.clock())
    return [claim.outgoing for claim in claims]


async def reasons(rig: Rig) -> Mapping[str, tuple[str, str | None]]:
    rows = await rig.pool.fetch("SELECT campaign_id, entry_id, status, reason FROM message")
    return {f"{row['campaign_id']} {row['entry_id']}": (row["status"], row["reason"]) for row in rows}


async def test_a_night_is_waited_for_however_young_entries_must_be(rig: Rig) -> None:
    await rig.define(campaign(quiet_hours=NIGHT, max_entry_age="1h"))
    await rig.customer("p1")
    await entered(rig, ("vip", "e1"))
    messenger = await rig.assemble()
    assert await sent(rig, messenger) == []
    (message,) = await rig.messages()
    assert (message["status"], message["reason"]) == ("pending", "quiet_hours")
    assert (message["due_at"], message["ready_at"]) == (EIGHT_IN_PRAGUE, EIGHT_IN_PRAGUE)
    rig.clock.now = EIGHT_IN_PRAGUE - 1
    assert await sent(rig, messenger) == []
    rig.clock.now = EIGHT_IN_PRAGUE
    assert len(await sent(rig, messenger)) == 1
    assert await reasons(rig) == {"welcome e1": ("accepted", None)}


@pytest.mark.parametrize(
    ("changes", "traits", "due"),
    [
        ({}, {}, "07:00"),
        ({"quiet_hours": {"from": "20:00", "to": "09:00"}}, {}, "08:00"),
        ({"quiet_hours": {"from": "20:00", "to": "08:00", "timezone": "UTC"}}, {}, "08:00"),
        ({"purpose": "transactional", "quiet_hours": NIGHT}, {}, "07:00"),
        ({}, {"phone": None}, "08:00"),
        ({}, {"phone": "+919812345678"}, "02:30"),
    ],
)
async def test_whose_clock_and_whose_quiet_hours_count(
    rig: Rig, changes: Mapping[str, Any], traits: Mapping[str, Any], due: str
) -> None:
    """`due` by UTC, of the morning after START."""
    await rig.define_policy(parse_policy({"quiet_hours": NIGHT}))
    await rig.define(MAIL, campaign(steps=MAIL_STEP, **changes))
    await rig.customer("p1", **traits)
    await entered(rig, ("vip", "e1"))
    assert await sent(rig, await rig.assemble()) == []
    (message,) = await rig.messages()
    assert datetime.fromtimestamp(message["due_at"] / 1000, UTC) == datetime.fromisoformat(f"2023-11-15T{due}Z")


async def test_what_is_transactional_knows_no_night_but_its_own(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"quiet_hours": NIGHT}))
    await rig.define(campaign(purpose="transactional"))
    await rig.customer("p1")
    await entered(rig, ("vip", "e1"))
    assert len(await sent(rig, await rig.assemble())) == 1


def test_a_national_number_tells_the_time_where_the_region_is_known() -> None:
    identifiers = [{"type": "email", "value": "a@shop.test"}, {"type": "phone", "value": "+420601000001"}]
    customer = Customer("p1", {"phone": "090-1234-5678"}, {}, (), {}, identifiers, None)
    assert list(phones_of(customer, "JP")) == ["+819012345678", "+420601000001"]
    assert list(phones_of(customer, None)) == ["+420601000001"]


async def test_who_has_no_address_does_not_wait_for_the_morning(rig: Rig) -> None:
    await rig.define(campaign(quiet_hours=NIGHT))
    await rig.customer("p1", phone=None)
    await entered(rig, ("vip", "e1"))
    await sent(rig, await rig.assemble())
    assert await reasons(rig) == {"welcome e1": ("skipped", "no_address")}


async def test_where_one_may_go_the_higher_priority_goes_even_by_another_channel(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.define(
        MAIL,
        campaign(id="low", trigger={"segment": "low"}, priority=1),
        campaign(id="middle", trigger={"segment": "middle"}, priority=2),
        campaign(id="high", trigger={"segment": "high"}, priority=3, steps=MAIL_STEP),
    )
    await rig.customer("p1")
    for segment in ("low", "middle", "high"):  # the low one is due first
        await entered(rig, (segment, f"e-{segment}"))
        rig.clock.now += 10
    messenger = await rig.assemble()
    gone = await sent(rig, messenger, limit=1)
    assert (await reasons(rig))["low e-low"] == ("pending", "priority")
    for _ in range(3):
        gone += await sent(rig, messenger, limit=1)
    rig.clock.now += 10_000
    gone += await sent(rig, messenger)
    assert [out.campaign_id for out in gone] == ["high"]
    assert await reasons(rig) == {
        "high e-high": ("accepted", None),
        "low e-low": ("skipped", "frequency_cap"),
        "middle e-middle": ("skipped", "frequency_cap"),
    }


async def test_who_waits_for_a_higher_one_is_not_overtaken_by_a_lower(rig: Rig) -> None:
    """The one that all wait for turns out not to be sent: the place is the middle one's."""
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.define(
        campaign(id="low", trigger={"segment": "low"}, priority=1),
        campaign(id="middle", trigger={"segment": "middle"}, priority=2),
        campaign(id="high", trigger={"segment": "high"}, priority=3, topic="offers"),
    )
    await rig.customer("p1", communication={"topics": []})
    for name in ("middle", "high", "low"):
        await entered(rig, (name, f"e-{name}"))
        rig.clock.now += 1
    messenger = await rig.assemble()
    for _ in range(3):
        assert await sent(rig, messenger, limit=1) == []
    assert await reasons(rig) == {
        "middle e-middle": ("pending", "priority"),
        "high e-high": ("skipped", "preference"),
        "low e-low": ("pending", "priority"),
    }
    rig.clock.now += 5_000
    assert [out.campaign_id for out in await sent(rig, messenger)] == ["middle"]
    assert (await reasons(rig))["low e-low"] == ("skipped", "frequency_cap")


async def test_who_is_kept_back_keeps_its_place_within_one_claim(rig: Rig) -> None:
    sms, all_together = {"at_most": 1, "within": "1d", "channel": "sms"}, {"at_most": 2, "within": "1d"}
    await rig.define_policy(parse_policy({"caps": [sms, all_together]}))
    await rig.define(
        MAIL,
        campaign(id="low", trigger={"segment": "low"}, priority=1, steps=MAIL_STEP),
        campaign(id="middle", trigger={"segment": "middle"}, priority=2),
        campaign(id="high", trigger={"segment": "high"}, priority=3),
    )
    await rig.customer("p1")
    for name in ("middle", "low", "high"):
        await entered(rig, (name, f"e-{name}"))
        rig.clock.now += 1
    assert await sent(rig, await rig.assemble(), limit=1) == []
    assert (await reasons(rig))["low e-low"] == ("pending", "priority")


async def test_waiting_for_a_priority_does_not_make_a_message_younger(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.define(
        campaign(id="low", trigger={"segment": "low"}, max_entry_age="1h"),
        campaign(id="high", trigger={"segment": "high"}, priority=3),
    )
    await rig.customer("p1")
    await entered(rig, ("low", "e1"), ("high", "e2"))
    await rig.pool.execute("UPDATE message SET due_at = due_at - 1 WHERE campaign_id = 'low'")
    messenger = await rig.assemble()
    assert await sent(rig, messenger, limit=1) == []
    ready = await rig.pool.fetchval("SELECT ready_at FROM message WHERE campaign_id = 'low'")
    assert ready == START


async def test_a_campaigns_own_caps_hold_for_what_is_transactional_too(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.define(
        campaign(
            id="codes",
            trigger={"segment": "codes"},
            purpose="transactional",
            caps=[{"at_most": 2, "within": "1h"}],
        ),
        campaign(id="bills", trigger={"segment": "bills"}, purpose="transactional"),
        campaign(id="offers", trigger={"segment": "offers"}),
    )
    await rig.customer("p1")
    await entered(rig, *(("codes", f"e{n}") for n in range(3)), *(("bills", f"f{n}") for n in range(3)))
    await entered(rig, ("offers", "g0"), ("offers", "g1"))
    await sent(rig, await rig.assemble(), limit=20)
    found = list((await reasons(rig)).items())
    kept = {key.split()[0]: reason for key, (status, reason) in found if status == "skipped"}
    gone = [key.split()[0] for key, (status, _) in found if status == "accepted"]
    assert kept == {"codes": "frequency_cap", "offers": "frequency_cap"}
    assert (gone.count("codes"), gone.count("bills"), gone.count("offers")) == (2, 3, 1)


async def test_what_a_process_that_is_gone_may_have_sent_counts(rig: Rig) -> None:
    rig.provider = ScriptedProvider(idempotent=True)
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.define(
        campaign(id="one", trigger={"segment": "one"}), campaign(id="two", trigger={"segment": "two"})
    )
    await rig.customer("p1")
    await entered(rig, ("one", "e1"))
    messenger = await rig.assemble()
    assert len((await messenger.claims.claim("sms", 10, rig.clock())).claims) == 1
    rig.clock.now += GONE_IDEMPOTENT_MS + 1
    await messenger.claims.recover(rig.clock())
    await entered(rig, ("two", "e2"))
    await rig.pool.execute("UPDATE message SET due_at = due_at - 1 WHERE campaign_id = 'two'")
    assert await sent(rig, messenger, limit=1) == []
    assert (await reasons(rig))["two e2"] == ("skipped", "frequency_cap")
    assert [out.campaign_id for out in await sent(rig, messenger)] == ["one"]


async def test_merged_customers_are_one(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"caps": DAILY}))
    await rig.customer("p1")
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('p0', 'p1')")
    await entered(rig, ("vip", "e1"))
    async with rig.running("follow"):
        await rig.enter("p0", "e0")
        await eventually(partial(_count, rig, 2))
    assert len(await sent(rig, await rig.assemble())) == 1


async def test_a_used_up_budget_lets_the_next_channel_try(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"sms": {"default_price": "2", "spend": [{"per_day": "1"}]}}))
    step = {"send": {"channels": ["sms", "email"], "templates": {"sms": "hello", "email": "hello-mail"}}}
    await rig.define(MAIL, campaign(steps=[step]))
    await rig.customer("p1")
    await entered(rig, ("vip", "e1"))
    messenger = await rig.assemble()
    assert [out.channel for out in await sent(rig, messenger)] == ["email"]
    rows = await rig.pool.fetch("SELECT channel, status, reason FROM message ORDER BY alternative")
    assert [tuple(row) for row in rows] == [("sms", "skipped", "spend_cap"), ("email", "accepted", None)]
    assert await rig.pool.fetchval("SELECT sum(cost) FROM sms_spend") == Decimal(0)


async def test_nobody_waits_for_a_customer_whom_no_cap_concerns(rig: Rig) -> None:
    await rig.customer("p1")
    await entered(rig, ("vip", "e1"))
    messenger = await rig.assemble()
    async with rig.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('headrace.messenger.maximum p1', 0))"
        )
        async with asyncio.timeout(20):
            assert len(await sent(rig, messenger)) == 1
