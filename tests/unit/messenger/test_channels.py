"""Several providers of a channel on the real ledger: who takes over, who is left alone, who repeats what."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from services.messenger.assembly import Messenger
from services.messenger.claims import GONE_IDEMPOTENT_MS, GONE_MS
from services.messenger.providers.breaker import FAILURES, FIRST_PAUSE_MS
from services.messenger.providers.port import Accepted, NotSent, Unsure
from services.messenger.providers.webhook import WebhookProvider
from tests.conformance.test_provider_webhook import LOOPBACK, SECRETS, WebhookBench
from tests.unit.messenger.rig import (
    MAIL,
    Rig,
    ScriptedProvider,
    by_outcome,
    campaign,
    eventually,
)
from tests.unit.messenger.test_once import is_at

DOWN = NotSent("connection", concerns="provider")


def scripted(rig: Rig, channel: str, *names: str, idempotent: bool = False) -> list[ScriptedProvider]:
    """Providers of a channel that do as told."""
    made = [ScriptedProvider(name=name, idempotent=idempotent) for name in names]
    rig.providers[channel] = list(made)
    return made


async def waiting(rig: Rig, count: int, *, channel: str = "sms") -> None:
    """So many people have a message pending on the channel."""
    mail = campaign(id="mail", steps=[{"send": {"channel": "email", "template": "hello-mail"}}])
    await rig.define(MAIL, mail)
    async with rig.running("follow"):
        for number in range(count):
            await rig.customer(f"p{number}")
            await rig.enter(f"p{number}", f"e{number}")
        await eventually(lambda: pending(rig, 2 * count))


async def pending(rig: Rig, count: int) -> bool:
    return await rig.statuses() == ["pending"] * count


async def send_all(messenger: Messenger) -> None:
    """All that may be sent at this instant, on every channel."""
    for sender in messenger.senders:
        while await sender.claim_once():
            await sender.idle()
        await sender.idle()


async def counts(rig: Rig) -> dict[tuple[str, str, str | None], int]:
    rows = await rig.pool.fetch(
        "SELECT channel, status, CASE status WHEN 'accepted' THEN provider END AS by, count(*) AS n"
        " FROM message GROUP BY 1, 2, 3"
    )
    return {(row["channel"], row["status"], row["by"]): row["n"] for row in rows}


async def test_a_channel_whose_provider_is_down_waits_and_the_others_do_not(rig: Rig) -> None:
    (sms,) = scripted(rig, "sms", "one")
    scripted(rig, "email", "mail")
    await waiting(rig, 20)
    sms.script = [DOWN] * 100
    messenger = await rig.assemble()
    for _ in range(3):
        await send_all(messenger)
    assert await counts(rig) == {("sms", "pending", None): 20, ("email", "accepted", "mail"): 20}
    assert len(sms.sent) < FAILURES + 4, "no more than were in flight as the breaker opened"

    assert await is_at(messenger.metrics.provider_down.labels("sms", "one"), 1)
    handed_over = len(sms.sent)
    rig.clock.now += FIRST_PAUSE_MS
    await send_all(messenger)
    assert len(sms.sent) == handed_over + 1, "one message tries"
    sms.script.clear()
    rig.clock.now += 2 * FIRST_PAUSE_MS
    await send_all(messenger)
    assert await is_at(messenger.metrics.provider_down.labels("sms", "one"), 0)
    assert await counts(rig) == {("sms", "accepted", "one"): 20, ("email", "accepted", "mail"): 20}


async def test_a_second_provider_takes_over_and_nobody_gets_a_message_of_both(rig: Rig) -> None:
    one, two = scripted(rig, "sms", "one", "two")
    await waiting(rig, 20)
    one.script = [Unsure("timeout")] * 100
    messenger = await rig.assemble()
    await send_all(messenger)
    found = await counts(rig)
    in_flight = found["sms", "unknown", None]
    assert FAILURES <= in_flight < FAILURES + 4, "what the first may have sent is not sent again"
    assert found["sms", "accepted", "two"] == 20 - in_flight
    assert not {message.id for message in one.sent} & {message.id for message in two.sent}
    assert sum(count for (channel, *_), count in found.items() if channel == "sms") == 20


async def test_what_was_certainly_not_sent_goes_out_by_the_second(rig: Rig) -> None:
    one, two = scripted(rig, "sms", "one", "two")
    await waiting(rig, 20)
    one.script = [DOWN] * 100
    messenger = await rig.assemble()
    await send_all(messenger)
    rig.clock.now += 500
    await send_all(messenger)
    assert await counts(rig) == {("sms", "accepted", "two"): 20, ("email", "accepted", "scripted"): 20}
    assert len(two.sent) == 20


async def test_nothing_is_claimed_beyond_what_a_throttled_provider_takes(rig: Rig) -> None:
    (sms,) = scripted(rig, "sms", "one")
    await waiting(rig, 20)
    sms.script = [NotSent("http_429", 7_000, concerns="rate")] * 4
    messenger = await rig.assemble()
    for _ in range(5):
        await send_all(messenger)
    assert len(sms.sent) == 4, "those that were in flight"
    rig.clock.now += 7_000
    await send_all(messenger)
    assert (await counts(rig))["sms", "accepted", "one"] == 20
    assert len(sms.sent) == 24


async def test_a_lost_reply_of_one_that_recognises_repeats_is_asked_for_again(rig: Rig) -> None:
    (sms,) = scripted(rig, "sms", "one", idempotent=True)
    await waiting(rig, 1)
    sms.script = [Unsure("timeout"), Unsure("timeout")]
    messenger = await rig.assemble()
    for _ in range(3):
        await send_all(messenger)
        rig.clock.now += 1_000
    assert (await counts(rig))["sms", "accepted", "one"] == 1
    assert len(sms.sent) == 3
    assert len({message.id for message in sms.sent}) == 1


async def test_what_may_have_been_sent_and_must_not_go_again_is_unknown(rig: Rig) -> None:
    (sms,) = scripted(rig, "sms", "one", idempotent=True)
    await waiting(rig, 1)
    sms.script = [Unsure("timeout")]
    messenger = await rig.assemble()
    await send_all(messenger)
    await rig.customer("p0", consent="withdrawn")
    rig.clock.now += 1_000
    async with rig.running():
        await eventually(lambda: settled(rig))
    assert ("unknown", "no_consent") in by_outcome(await rig.published())
    assert len(sms.sent) == 1


async def settled(rig: Rig) -> bool:
    told = await rig.published()
    return "pending" not in await rig.statuses() and len(told) >= 2


async def test_another_provider_repeats_nothing_that_the_one_before_may_have_sent(rig: Rig) -> None:
    (one,) = scripted(rig, "sms", "one", idempotent=True)
    await waiting(rig, 1)
    one.script = [Unsure("timeout")]
    await send_all(await rig.assemble())

    (two,) = scripted(rig, "sms", "two", idempotent=True)  # the operator names another
    rig.clock.now += 1_000
    await send_all(await rig.assemble())
    (message,) = [row for row in await rig.messages() if row["channel"] == "sms"]
    assert (message["status"], message["reason"]) == ("unknown", "provider_changed")
    assert two.sent == []


async def test_a_claim_is_recovered_by_what_its_provider_recognises(rig: Rig) -> None:
    """Of two providers of a channel, one idempotent."""
    one, two = ScriptedProvider(name="one", idempotent=True), ScriptedProvider(name="two")
    rig.providers["sms"] = [one, two]
    await waiting(rig, 2)
    gone = await rig.assemble()
    first = await gone.claims.claim("sms", 1, rig.clock())
    sender = next(sender for sender in gone.senders if sender.channel.name == "sms")
    for _ in range(FAILURES):
        sender.channel.observe("one", DOWN)
    second = await gone.claims.claim("sms", 1, rig.clock())
    assert [c.claims[0].provider.name for c in (first, second)] == ["one", "two"]

    rig.clock.now += max(GONE_MS, GONE_IDEMPOTENT_MS) + 1
    other = await rig.assemble()
    recovered = await other.claims.recover(rig.clock())
    assert (recovered.pending, recovered.unknown) == (1, 1)
    by_id = {row["id"]: row for row in await rig.messages()}
    assert by_id[first.claims[0].outgoing.id]["status"] == "pending"
    assert by_id[second.claims[0].outgoing.id]["status"] == "unknown"


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookBench]:
    server = WebhookBench()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def webhooks(rig: Rig) -> AsyncIterator[WebhookProvider]:
    provider = WebhookProvider(SECRETS, LOOPBACK, rig.clock, timeout=0.5)
    yield provider
    await provider.close()


async def test_a_journeys_webhook_arrives_signed_and_once(
    rig: Rig, receiver: WebhookBench, webhooks: WebhookProvider
) -> None:
    step = {"webhook": {"url": receiver.to, "body": {"points": 10}}}
    await rig.define(campaign(id="points", steps=[step]))
    rig.providers["webhook"] = [webhooks]
    receiver.misbehave("hang")
    await rig.customer("p1")
    async with rig.running("follow", "journeys"):
        await rig.enter("p1", "e1")
        await eventually(lambda: on_its_way(rig))
    messenger = await rig.assemble()
    await send_all(messenger)
    receiver.behave()
    rig.clock.now += 1_000
    await send_all(messenger)
    (row,) = [row for row in await rig.messages() if row["channel"] == "webhook"]
    assert (row["status"], row["provider"], receiver.times) == ("accepted", "webhook", 2)
    (asked,) = receiver.asked
    assert asked.headers["webhook-id"] == row["id"]
    body = msgspec.json.decode(asked.body)
    assert body["type"] == "campaign.step"
    assert body["data"]["points"] == 10
    assert body["data"]["profile"] == {"id": "p1"}


async def on_its_way(rig: Rig) -> bool:
    return any(row["channel"] == "webhook" for row in await rig.messages())


async def test_accepted_is_what_the_provider_said_not_who_was_asked(rig: Rig) -> None:
    (sms,) = scripted(rig, "sms", "one")
    await waiting(rig, 1)
    sms.script = [Accepted("SM1")]
    await send_all(await rig.assemble())
    (row,) = [row for row in await rig.messages() if row["channel"] == "sms"]
    assert (row["provider"], row["provider_message_id"]) == ("one", "SM1")
