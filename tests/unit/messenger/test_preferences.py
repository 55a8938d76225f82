"""What a customer wants is obeyed when a message is claimed: channels, topics, how many a month, none at all."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.communication import Communication, read_communication
from services.messenger.caps import MONTH_MS
from services.messenger.consent import Consent, refusal
from tests.unit.messenger.rig import Rig, campaign, eventually
from tests.unit.messenger.test_once import scripted, settled

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["channels", "topics"]), inner),
    max_leaves=5,
)


@given(ANYTHING)
def test_whatever_the_trait_holds_is_read(said: Any) -> None:
    read_communication({"communication": said}).allows("sms", "offers")


def test_what_is_absent_restricts_nothing() -> None:
    assert Communication().allows("sms", "offers")
    assert Communication(topics=("news",)).allows("sms", None)
    assert not Communication(topics=("news",)).allows("sms", "offers")
    assert not Communication(channels=()).allows("sms", None)


def test_consent_to_transactional_messages_is_its_own_where_there_is_any() -> None:
    granted, withdrawn = Consent("granted", 1), Consent("withdrawn", 1)
    assert refusal("sms", "transactional", {"sms": withdrawn, "transactional/sms": granted}, ()) is None
    assert refusal("sms", "transactional", {"sms": granted, "transactional/sms": withdrawn}, ()) == "no_consent"
    assert refusal("sms", "transactional", {"sms": withdrawn}, ()) == "no_consent"
    assert refusal("sms", "marketing", {"research/sms": granted}, ()) == "no_consent"


async def put(rig: Rig, **changes: Any) -> None:
    await rig.define(campaign(**changes))


async def entered(rig: Rig, *entries: str) -> list[tuple[str, str | None]]:
    """What became of these entries of p1, in order."""
    async with rig.running():
        before = len(await rig.messages())
        for number, entry in enumerate(entries, before + 1):
            await rig.enter("p1", entry)
            await eventually(partial(_settled, rig, number))
    rows = await rig.messages()
    found = {row["entry_id"]: (row["status"], row["reason"]) for row in rows}
    return [found[entry] for entry in entries]


@pytest.mark.parametrize(
    ("wishes", "changes", "reason"),
    [
        ({"channels": ["email"]}, {}, "preference"),
        ({"channels": ["email", "sms"]}, {}, None),
        ({"topics": ["news"]}, {"topic": "offers"}, "preference"),
        ({"topics": ["offers"]}, {"topic": "offers"}, None),
        ({"topics": ["news"]}, {}, None),
        ({"monthly_maximum": 0}, {}, "monthly_maximum"),
        ({"channels": [], "monthly_maximum": 0}, {"purpose": "transactional"}, None),
    ],
)
async def test_a_message_against_the_customers_wishes_is_skipped(
    rig: Rig, wishes: Mapping[str, Any], changes: Mapping[str, Any], reason: str | None
) -> None:
    await put(rig, **changes)
    await rig.customer("p1", communication=wishes)
    assert await entered(rig, "e1") == [("skipped", reason) if reason else ("accepted", None)]


async def test_no_more_than_the_monthly_maximum_is_sent(rig: Rig) -> None:
    await rig.customer("p1", communication={"monthly_maximum": 2})
    assert await entered(rig, "e1", "e2", "e3") == [
        ("accepted", None),
        ("accepted", None),
        ("skipped", "monthly_maximum"),
    ]
    rig.clock.now += MONTH_MS
    assert await entered(rig, "e4") == [("accepted", None)]


async def test_not_even_by_processes_that_claim_at_the_same_time(rig: Rig) -> None:
    await rig.customer("p1", communication={"monthly_maximum": 3})
    async with rig.running("follow"):
        for number in range(12):
            await rig.enter("p1", f"e{number}")
        await eventually(lambda: _messages(rig, 12))
    processes = [await rig.assemble() for _ in range(4)]
    claimed = await asyncio.gather(*(one.claims.claim("sms", 5, rig.clock()) for one in processes))
    assert sum(len(one.claims) for one in claimed) == 3


async def test_a_suppressed_customer_gets_nothing_of_any_purpose(rig: Rig) -> None:
    await put(rig, purpose="transactional")
    await rig.customer("p1")
    await rig.pool.execute("INSERT INTO profiles.alias_v1 VALUES ('merged', 'p1')")
    await rig.pool.execute("INSERT INTO profiles.suppressed_v1 VALUES ('merged')")
    assert await entered(rig, "e1") == [("skipped", "suppressed")]
    assert scripted(rig).sent == []


async def _settled(rig: Rig, count: int) -> bool:
    return await _messages(rig, count) and await settled(rig)


async def _messages(rig: Rig, count: int) -> bool:
    return len(await rig.messages()) == count
