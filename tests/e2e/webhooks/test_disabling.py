"""When a delivery is given up, when a subscription is disabled, and how it comes back."""

from services.segmenter.webhooks.attempts import DELAYS_MS, EXHAUSTED_LIMIT, JITTER
from services.segmenter.webhooks.claims import PER_SUBSCRIPTION
from tests.e2e.webhooks.rig import Process, WebhookRig, change
from tests.webhook_receiver import Receiver

DAY = 86_400_000


async def test_after_ten_attempts_it_has_failed_and_can_be_tried_again_by_hand(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(500)
    await rig.follow(process, change("p1"))
    for pause in (*DELAYS_MS, *DELAYS_MS[-2:]):
        await process.round()
        rig.now += int(pause * (1 + JITTER))
    assert len(hooks.requests) == 10
    (failed,) = await process.deliveries("shop", "failed")
    assert (failed["attempts"], failed["response"], failed["next_attempt_at"]) == (10, "this is 500", None)
    assert (process.counted("retried"), process.counted("failed")) == (9, 1)
    hooks.answers.clear()
    await process.post(f"shop/deliveries/{failed['id']}/retry")
    await process.round()
    assert len(await process.deliveries("shop", "delivered")) == 1
    assert set(hooks.ids()) == {failed["message_id"]}


async def test_gone_disables_at_once_and_what_waits_is_kept(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(410)
    await rig.follow(process, change("p1"), change("p1", action="exited"))
    await process.round()
    shown = await process.get("shop")
    assert (shown["status"], shown["disabled_reason"], shown["enabled"]) == ("disabled", "gone", True)
    assert shown["deliveries"] == {"pending": 1, "delivered": 0, "failed": 1}
    assert process.disabled("gone") == 1
    hooks.answers.clear()
    rig.now += DAY
    await rig.follow(process, change("p2"))
    await process.round()
    await process.put("shop", url=hooks.url)
    await process.round()
    assert len(hooks.requests) == 1
    assert (await process.post("shop/enable"))["status"] == "enabled"
    await process.round()
    assert len(hooks.requests) == 2
    assert (await process.get("shop"))["deliveries"] == {"pending": 0, "delivered": 1, "failed": 1}


async def test_enabling_sends_at_once_what_waits(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    await process.put("shop", url=hooks.url)
    for status, profile in ((500, "p1"), (410, "p2")):
        hooks.answers["/"] = hooks.status(status)
        await rig.follow(process, change(profile))
        await process.round()
    hooks.answers.clear()
    await process.post("shop/enable")
    await process.round()
    assert (await process.get("shop"))["deliveries"] == {"pending": 0, "delivered": 1, "failed": 1}


async def test_days_of_nothing_but_failures_disable(rig: WebhookRig, hooks: Receiver) -> None:
    hooks.answers["/"] = hooks.status(500)
    async with rig.process(disable_after_ms=DAY) as process:
        await process.put("shop", url=hooks.url)
        await rig.follow(process, change("p1"))
        await process.round()
        rig.now += DAY - 1
        await process.round()
        assert (await process.get("shop"))["status"] == "enabled"
        rig.now += DAY
        await process.round()
        assert (await process.get("shop"))["disabled_reason"] == "failing"
        assert process.disabled("failing") == 1
        await process.put("shop", url=f"{hooks.url}/moved")
        assert (await process.get("shop"))["status"] == "enabled"


async def test_a_success_in_between_starts_the_days_anew(rig: WebhookRig, hooks: Receiver) -> None:
    async with rig.process(disable_after_ms=DAY) as process:
        await process.put("shop", url=hooks.url)
        for profile in ("p1", "p2", "p3"):
            hooks.answers["/"] = hooks.status(500)
            await rig.follow(process, change(profile))
            await process.round()
            hooks.answers.clear()
            rig.now += DAY - 1
            await process.round()
        assert (await process.get("shop"))["status"] == "enabled"


async def test_a_hundred_deliveries_given_up_in_a_row_disable(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(500)
    await rig.follow(process, *(change(f"p{n}") for n in range(EXHAUSTED_LIMIT + 20)))
    await rig.pool.execute("UPDATE delivery SET attempt = $1", len(DELAYS_MS))
    await process.round()
    shown = await process.get("shop")
    assert shown["disabled_reason"] == "exhausted"
    assert EXHAUSTED_LIMIT <= shown["deliveries"]["failed"] < EXHAUSTED_LIMIT + PER_SUBSCRIPTION
    assert process.disabled("exhausted") == 1
