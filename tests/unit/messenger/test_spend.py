"""What text messages may cost a day: no order of wishes, and no number of processes, spends more."""

import asyncio
from collections import defaultdict
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.policy import SmsPolicy, parse_policy
from services.messenger.claims import Settlement
from services.messenger.providers.port import NotSent
from services.messenger.spend import Budget, open_budget
from tests.unit.messenger.rig import START, Rig, campaign, eventually

DAY_MS = 86_400_000
COUNTRIES = ["CZ", "JP", None]
LIMITS = {"": Decimal("9.50"), "JP": Decimal("4")}
NUMBERS = {"CZ": "+420601000001", "JP": "+819012345678"}


def sms_policy(*spend: dict[str, str]) -> SmsPolicy:
    return SmsPolicy.model_validate({"prices": {"CZ": "1.00", "JP": "2.50"}, "spend": list(spend)})


@given(st.lists(st.tuples(st.sampled_from(COUNTRIES), st.decimals("0.1", "3", places=2))))
def test_what_is_taken_stays_within_every_limit(wishes: list[tuple[str | None, Decimal]]) -> None:
    budget = Budget(
        date(2026, 1, 1), LIMITS, {"": Decimal(0), "CZ": Decimal(0), "JP": Decimal(0), "ZZ": Decimal(0)}
    )
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for country, cost in wishes:
        fits = spent[""] + cost <= LIMITS[""] and (country != "JP" or spent["JP"] + cost <= LIMITS["JP"])
        assert budget.take(country, cost, 1) == fits
        if fits:
            spent[""] += cost
            spent[country or "ZZ"] += cost


async def spend(rig: Rig, number: str, cost: str, policy: SmsPolicy, now: int = START) -> bool:
    """One process that sends one message."""
    async with rig.pool.acquire() as connection, connection.transaction():
        budget = await open_budget(connection, [number], policy, now)
        assert budget is not None
        taken = budget.take("CZ" if number == NUMBERS["CZ"] else "JP", Decimal(cost), 2)
        await budget.book(connection)
        return taken


async def test_processes_side_by_side_do_not_spend_more(rig: Rig) -> None:
    policy = sms_policy({"per_day": "10"}, {"per_day": "3", "country": "JP"})
    numbers = [NUMBERS["CZ"], NUMBERS["JP"]] * 10
    taken = await asyncio.gather(*(spend(rig, number, "1.5", policy) for number in numbers))
    rows = {row["country"]: row for row in await rig.pool.fetch("SELECT * FROM sms_spend")}
    assert sum(taken) == 6, "nine of ten, by steps of one and a half"
    assert rows[""]["cost"] == Decimal("9.0")
    assert rows["JP"]["cost"] <= 3
    assert rows[""]["parts"] == 12


async def test_a_new_day_by_utc_begins_anew(rig: Rig) -> None:
    policy = sms_policy({"per_day": "1"})
    midnight = START - START % DAY_MS + DAY_MS
    assert await spend(rig, NUMBERS["CZ"], "1", policy, midnight - 1)
    assert not await spend(rig, NUMBERS["CZ"], "0.01", policy, midnight - 1)
    assert await spend(rig, NUMBERS["CZ"], "1", policy, midnight)


async def test_without_limits_nothing_is_read(rig: Rig) -> None:
    async with rig.pool.acquire() as connection, connection.transaction():
        assert await open_budget(connection, [NUMBERS["CZ"]], sms_policy(), START) is None
    assert await rig.pool.fetch("SELECT * FROM sms_spend") == []


async def test_a_message_that_is_tried_again_costs_once(rig: Rig) -> None:
    await rig.define_policy(parse_policy({"sms": {"prices": {"CZ": "1"}, "spend": [{"per_day": "1"}]}}))
    await rig.define(campaign(max_entry_age="30d"))
    await rig.customer("p1")
    async with rig.running("follow"):
        await rig.enter("p1", "e1")
        await eventually(rig.messages)
    messenger = await rig.assemble()
    for _ in range(3):
        claims = (await messenger.claims.claim("sms", 10, rig.clock())).claims
        assert len(claims) == 1
        await messenger.claims.settle([Settlement(claims[0], NotSent("busy", 1000))], rig.clock())
        rig.clock.now += 2000
    assert await rig.pool.fetchval("SELECT cost FROM sms_spend WHERE country = 'CZ'") == 1
    assert await rig.pool.fetchval("SELECT parts FROM sms_spend WHERE country = 'CZ'") == 1
