"""What is kept of deliveries, and for how long."""

from tests.e2e.webhooks.rig import Process, WebhookRig, change
from tests.webhook_receiver import Receiver

DAY = 86_400_000


async def test_old_deliveries_are_forgotten(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    prune = process.webhooks.deliveries.prune
    await process.put("shop", url=hooks.url)
    await rig.follow(process, change("p1"))
    await process.round()
    hooks.answers["/"] = hooks.status(410)
    await rig.follow(process, change("p2"), change("p2"))
    await process.round()
    began, all_three = rig.now, {"pending": 1, "delivered": 1, "failed": 1}
    for age, left in (
        (7 * DAY, all_three),
        (7 * DAY + 1, {**all_three, "delivered": 0}),
        (30 * DAY, {**all_three, "delivered": 0}),
        (30 * DAY + 1, dict.fromkeys(all_three, 0)),
    ):
        await prune(began + age)
        assert (await process.get("shop"))["deliveries"] == left, age


async def test_an_erased_person_is_taken_out_of_what_is_kept(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(500)
    await rig.follow(process, change("p1"), change("p2"))
    await process.round()
    await rig.follow(process, change("p1", action="exited", reason="erasure"))
    bodies = await rig.pool.fetch("SELECT body FROM delivery WHERE profile_id = 'p1' AND attempt > 0")
    assert [b"p1@example.com" in row["body"] or b"user-p1" in row["body"] for row in bodies] == [False]
    others = await rig.pool.fetch("SELECT body FROM delivery WHERE profile_id = 'p2'")
    assert [b"p2@example.com" in row["body"] for row in others] == [True]
