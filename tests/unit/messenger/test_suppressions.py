"""Addresses that are not to be written to: by reason, by hand, and what ends it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.consent import SUPPRESSIONS, Consent, Suppression, refusal
from tests.unit.messenger.rig import MAIL, START, TOKEN, Rig, campaign, eventually
from tests.unit.messenger.test_once import scripted, settled

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
EMAIL = {"channel": "email", "address": " Jana@Shop.test "}


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    messenger = await rig.assemble()
    transport = httpx.ASGITransport(messenger.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=ADMIN) as client:
        yield client


@given(
    st.sampled_from(SUPPRESSIONS), st.sampled_from(["granted", "withdrawn"]), st.integers(0, 9), st.integers(0, 9)
)
def test_what_each_reason_ends_and_what_ends_it(reason: str, status: str, since: int, at: int) -> None:
    consents, suppressions = {"sms": Consent(status, since)}, [Suppression(reason, at)]
    marketing = refusal("sms", "marketing", consents, suppressions) is None
    transactional = refusal("sms", "transactional", consents, suppressions) is None
    granted = status == "granted"
    assert marketing == (granted and reason == "unsubscribed" and since > at)
    assert transactional == (granted and reason in ("unsubscribed", "complained"))


@pytest.mark.parametrize(
    ("reason", "purpose", "status"),
    [
        ("unsubscribed", "marketing", "skipped"),
        ("complained", "marketing", "skipped"),
        ("opted_out", "marketing", "skipped"),
        ("bounced", "marketing", "skipped"),
        ("unsubscribed", "transactional", "accepted"),
        ("complained", "transactional", "accepted"),
        ("opted_out", "transactional", "skipped"),
        ("bounced", "transactional", "skipped"),
    ],
)
async def test_what_is_suppressed_by_hand_gets_nothing(
    rig: Rig, client: httpx.AsyncClient, reason: str, purpose: str, status: str
) -> None:
    step = [{"send": {"channel": "email", "template": "hello-mail"}}]
    await rig.define(MAIL, campaign(steps=step, purpose=purpose))
    await rig.customer("p1")
    assert (await client.post("/v1/suppressions", json={**EMAIL, "reason": reason})).status_code == 200
    async with rig.running():
        await rig.enter("p1", "e1")
        await eventually(lambda: settled(rig))
    (message,) = await rig.messages()
    assert (message["status"], message["reason"]) == (status, "suppressed" if status == "skipped" else None)
    assert len(scripted(rig).sent) == (status == "accepted")


async def test_a_suppression_is_asked_for_and_lifted_by_any_spelling(client: httpx.AsyncClient) -> None:
    async def asked(address: str) -> list[str]:
        answer = await client.get("/v1/suppressions", params={"channel": "email", "address": address})
        assert answer.status_code == 200
        return [item["reason"] for item in answer.json()["items"]]

    assert await asked("jana@shop.test") == []
    for reason in ("bounced", "complained", "bounced"):
        await client.post("/v1/suppressions", json={**EMAIL, "reason": reason})
    assert sorted(await asked("JANA@shop.test")) == ["bounced", "complained"]
    assert await asked("petr@shop.test") == []
    lifted = await client.request("DELETE", "/v1/suppressions", json={**EMAIL, "address": "jana@shop.test"})
    assert lifted.json() == {"success": True, "lifted": ["bounced", "complained"]}
    assert await asked("jana@shop.test") == []
    again = await client.request("DELETE", "/v1/suppressions", json=EMAIL)
    assert again.json() == {"success": True, "lifted": []}


async def test_said_again_it_counts_from_then(rig: Rig, client: httpx.AsyncClient) -> None:
    await client.post("/v1/suppressions", json={**EMAIL, "reason": "unsubscribed"})
    rig.clock.now += 5000
    await client.post("/v1/suppressions", json={**EMAIL, "reason": "unsubscribed"})
    rows = await rig.pool.fetch("SELECT at FROM suppression")
    assert [row["at"] for row in rows] == [START + 5000]


@pytest.mark.parametrize(
    "body",
    [
        {"channel": "sms", "address": "jana@shop.test"},
        {"channel": "email", "address": "+420601000001"},
        {"channel": "webhook", "address": "http://shop.test"},
        {"channel": "email"},
        {"channel": "email", "address": "jana@shop.test", "why": "because"},
        {"channel": "email", "address": "jana@shop.test", "reason": "annoying"},
    ],
)
async def test_what_is_no_address_is_told(rig: Rig, client: httpx.AsyncClient, body: dict[str, str]) -> None:
    answer = await client.post("/v1/suppressions", json=body)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert await rig.pool.fetch("SELECT * FROM suppression") == []


async def test_neither_the_log_nor_the_ledger_holds_the_address(rig: Rig, client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        await client.post("/v1/suppressions", json={**EMAIL, "reason": "bounced"})
        stored = str([dict(row) for row in await rig.pool.fetch("SELECT * FROM suppression")])
        await client.request("DELETE", "/v1/suppressions", json=EMAIL)
    audited = [line for line in lines if line["event"] in ("suppressed_by_hand", "suppression_lifted")]
    assert [line["event"] for line in audited] == ["suppressed_by_hand", "suppression_lifted"]
    assert "jana" not in (str(lines) + stored).casefold()
