"""Several processes, killed ones and stalled ones; receivers that take all the room there is; long queues."""

import asyncio
import sys

import msgspec

from services.segmenter.webhooks.claims import CLAIM, LEASE_MS, PER_SUBSCRIPTION, WHILE_FAILING
from tests.e2e.webhooks.rig import Process, WebhookRig, change
from tests.webhook_receiver import Receiver


async def test_a_killed_processs_claims_are_taken_again(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    hooks.answers["/"] = hooks.hang
    await process.put("shop", url=hooks.url)
    (sent, _) = await rig.follow(process, change("p1"), change("p1", action="exited"))
    arguments = ("-m", "tests.e2e.webhooks.doomed", rig.database_url, str(rig.now))
    doomed = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    await hooks.until(1, seconds=30)
    doomed.kill()
    await doomed.wait()
    hooks.answers.clear()
    await process.round()
    assert hooks.ids() == [sent.change.message_id]
    rig.now += LEASE_MS - 1
    await process.round()
    assert len(hooks.requests) == 1
    rig.now += 1
    await process.round()
    assert hooks.ids()[:2] == [sent.change.message_id] * 2
    assert (await process.get("shop"))["deliveries"] == {"pending": 0, "delivered": 2, "failed": 0}


async def test_a_claim_that_was_taken_away_settles_nothing(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    """A process that stood still too long: its late word must not undo what another one found out."""
    await process.put("shop", url=hooks.url)
    await rig.follow(process, change("p1"))
    hooks.answers["/"] = hooks.hang
    async with rig.process(timeout=20) as stalled:
        assert await stalled.webhooks.sender.claim_once() == 1
        await hooks.until(1)
        rig.now += LEASE_MS
        hooks.answers["/"] = hooks.status(500)
        await process.round()
        hooks.released.set()
        await stalled.webhooks.sender.idle()
        assert (stalled.counted("delivered"), process.counted("retried")) == (0, 1)
    (waiting,) = await process.deliveries("shop")
    assert (waiting["status"], waiting["attempts"]) == ("pending", 2)


async def test_several_processes_send_each_delivery_once(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    changes = await rig.follow(process, *(change(f"p{n % 40}") for n in range(200)))
    async with rig.process() as other, rig.running(process), rig.running(other):
        await hooks.until(200)
    wanted = [each.change.message_id for each in changes]
    assert sorted(hooks.ids()) == sorted(wanted)
    place = {message_id: n for n, message_id in enumerate(hooks.ids())}
    for n in range(40):
        of_one = [place[message_id] for message_id in wanted[n::40]]
        assert of_one == sorted(of_one)


async def test_a_receiver_that_hangs_holds_up_no_other(rig: WebhookRig, hooks: Receiver) -> None:
    hooks.answers["/hangs"] = hooks.hang
    async with rig.process(concurrency=PER_SUBSCRIPTION + 2) as process:
        await process.put("hangs", url=f"{hooks.url}/hangs")
        await process.put("works", url=f"{hooks.url}/works")
        await rig.follow(process, *(change(f"p{n}") for n in range(50)))
        async with rig.running(process):
            async with asyncio.timeout(20), hooks.news:
                await hooks.news.wait_for(lambda: len(hooks.ids("/works")) == 50)
            assert len(hooks.ids("/hangs")) == PER_SUBSCRIPTION
            hooks.released.set()


async def test_one_that_fails_gets_little_room(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    hooks.answers["/"] = hooks.status(500)
    await process.put("shop", url=hooks.url)
    await rig.follow(process, change("p1"))
    await process.round()
    hooks.answers["/"] = hooks.hang
    await rig.follow(process, *(change(f"q{n}") for n in range(10)))
    assert await process.webhooks.sender.claim_once() == WHILE_FAILING


async def test_a_claim_reads_little_of_a_long_queue(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    """Also before Postgres knows how long it is."""
    await process.put("shop", url=hooks.url)
    await rig.follow(process, *(change(f"p{n}") for n in range(3_000)))
    query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}"
    plan = await rig.pool.fetchval(query, rig.now, 8, PER_SUBSCRIPTION, WHILE_FAILING, [], [], LEASE_MS)
    assert msgspec.json.decode(plan)[0]["Plan"]["Shared Hit Blocks"] < 3_000
