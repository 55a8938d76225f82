"""Webhooks from a followed change to a receiver: delivered signed and once decided, retried, ordered, given up."""

import asyncio
import sys
from collections import Counter

import msgspec
import pytest

from services.segmenter.webhooks.attempts import DELAYS_MS, EXHAUSTED_LIMIT, JITTER
from services.segmenter.webhooks.claims import CLAIM, LEASE_MS, PER_SUBSCRIPTION, WHILE_FAILING
from services.segmenter.webhooks.deliveries import DeliveryHandler
from tests.e2e.webhooks.rig import Process, WebhookRig, change
from tests.webhook_receiver import Answer, Receiver

DAY = 86_400_000


async def test_a_change_is_delivered_signed_with_its_own_bytes(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    secret = (await process.put("shop", url=f"{hooks.url}/hook"))["secret"]
    (sent,) = await rig.follow(process, change("p1"))
    await process.round()
    (request,) = hooks.requests
    assert request.body == sent.record.value
    assert request.id == sent.change.message_id
    assert request.headers["webhook-timestamp"] == str(rig.now // 1000)
    assert request.signed_by(secret) == [True]
    shown = await process.get("shop")
    assert shown["deliveries"] == {"pending": 0, "delivered": 1, "failed": 0}
    assert shown["last_delivery"]["response_status"] == 200
    assert process.counted("delivered") == 1
    await process.round()
    assert len(hooks.requests) == 1


async def test_a_running_sender_is_woken_by_the_follower(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    async with rig.running(process):
        for number in range(1, 4):
            await rig.follow(process, change("p1"))
            await hooks.until(number, seconds=5)  # well before it would look by itself


async def test_the_sender_is_woken_where_somebody_subscribes(rig: WebhookRig, process: Process) -> None:
    woken: list[int] = []
    handler = DeliveryHandler(clock=lambda: rig.now, on_pending=lambda: woken.append(1))
    for expected in (0, 1):
        async with rig.pool.acquire() as connection, connection.transaction():
            await handler.apply(connection, [change("p1")])
        assert len(woken) == 0
        handler.committed()
        assert len(woken) == expected
        await process.put("shop", url="https://hooks.example.com/")


async def test_who_gets_what(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    await process.put("all", url=f"{hooks.url}/all")
    await process.put("vip", url=f"{hooks.url}/vip", segments=["vip"])
    await process.put("exits", url=f"{hooks.url}/exits", actions=["exited"])
    await process.put("off", url=f"{hooks.url}/off", enabled=False)
    a, b, c = await rig.follow(
        process, change("p1", "vip"), change("p2", "new"), change("p3", "vip", action="exited")
    )
    await process.round()
    found = {path: sorted(hooks.ids(path)) for path in ("/all", "/vip", "/exits", "/off")}
    ids = [each.change.message_id for each in (a, b, c)]
    assert found == {"/all": sorted(ids), "/vip": sorted([ids[0], ids[2]]), "/exits": [ids[2]], "/off": []}


async def test_a_delivery_is_made_once_and_only_with_the_followers_transaction(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    with pytest.raises(RuntimeError, match="rolled back"):
        await _fails(rig, process)
    await process.round()
    assert hooks.requests == []
    changes = await rig.follow(process, change("p1"), change("p2"))
    await rig.follow(process, *changes)
    await process.round()
    await rig.follow(process, *changes)
    await process.round()
    assert Counter(hooks.ids()) == {each.change.message_id: 1 for each in changes}


async def _fails(rig: WebhookRig, process: Process) -> None:
    async with rig.pool.acquire() as connection, connection.transaction():
        await process.webhooks.handler.apply(connection, [change("p1")])
        raise RuntimeError("rolled back")


def misbehaviours(hooks: Receiver) -> dict[str, tuple[Answer, str]]:
    return {
        "an error": (hooks.status(500), "http_500"),
        "busy": (hooks.status(429), "http_429"),
        "not there": (hooks.status(404), "http_404"),
        "a redirect": (hooks.status(302, Location=f"{hooks.url}/elsewhere"), "redirect"),
        "silence": (hooks.hang, "timeout"),
        "a reset": (hooks.reset, "connection"),
        "a flood": (hooks.flood, "http_500"),
    }


async def test_each_way_to_misbehave_is_tried_again_and_delivered(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    ways = misbehaviours(hooks)
    for number, (answer, _) in enumerate(ways.values()):
        hooks.answers[f"/{number}"] = answer
        await process.put(f"way-{number}", url=f"{hooks.url}/{number}")
    (sent,) = await rig.follow(process, change("p1"))
    await process.round()
    for number, (way, (_, reason)) in enumerate(ways.items()):
        (waiting,) = await process.deliveries(f"way-{number}")
        assert (waiting["status"], waiting["reason"], waiting["attempts"]) == ("pending", reason, 1), way
        assert (await process.get(f"way-{number}"))["failing_since"] is not None, way
    first = len(hooks.requests)
    assert "/elsewhere" not in {request.path for request in hooks.requests}
    hooks.answers.clear()
    rig.now += DELAYS_MS[0] - 1
    await process.round()
    assert len(hooks.requests) == first
    rig.now += DELAYS_MS[0]
    await process.round()
    again = hooks.requests[first:]
    assert sorted(request.path for request in again) == [f"/{number}" for number in range(len(ways))]
    assert {request.id for request in again} == {sent.change.message_id}
    assert {request.headers["webhook-timestamp"] for request in again} == {str(rig.now // 1000)}
    for number, way in enumerate(ways):
        shown = await process.get(f"way-{number}")
        assert (shown["deliveries"]["delivered"], shown["failing_since"]) == (1, None), way


async def test_a_customers_changes_stay_in_order(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(503)
    a, b = await rig.follow(process, change("p1"), change("p1", action="exited"))
    await process.round()
    (c,) = await rig.follow(process, change("p1"))
    hooks.answers.clear()
    (other,) = await rig.follow(process, change("p2"))
    await process.round()
    assert hooks.ids() == [a.change.message_id, other.change.message_id]
    rig.now += 2 * DELAYS_MS[0]
    await process.round()
    assert hooks.ids()[2:] == [each.change.message_id for each in (a, b, c)]


async def test_what_waited_goes_at_once_when_the_first_is_tried_again_by_hand(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(500)
    a, b = await rig.follow(process, change("p1"), change("p1", action="exited"))
    await process.round()
    hooks.answers.clear()
    (_, first) = await process.deliveries("shop")
    await process.post(f"shop/deliveries/{first['id']}/retry")
    await process.round()
    assert hooks.ids() == [a.change.message_id, a.change.message_id, b.change.message_id]


async def test_changes_in_flight_hold_up_the_customers_next_ones(
    rig: WebhookRig, process: Process, hooks: Receiver
) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.hang
    await rig.follow(process, change("p1"), change("p1", action="exited"))
    async with rig.process() as other:
        assert await process.webhooks.sender.claim_once() == 1
        assert await process.webhooks.sender.claim_once() == 0
        assert await other.webhooks.sender.claim_once() == 0
        hooks.released.set()
        await process.webhooks.sender.idle()
        assert await other.webhooks.sender.claim_once() == 1
        await other.webhooks.sender.idle()
    assert process.counted("delivered") == other.counted("delivered") == 1


async def test_retry_after_is_obeyed(rig: WebhookRig, process: Process, hooks: Receiver) -> None:
    await process.put("shop", url=hooks.url)
    hooks.answers["/"] = hooks.status(429, **{"Retry-After": "3600"})
    await rig.follow(process, change("p1"))
    await process.round()
    rig.now += 3_599_999
    await process.round()
    assert len(hooks.requests) == 1
    rig.now += 1
    await process.round()
    assert len(hooks.requests) == 2


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
