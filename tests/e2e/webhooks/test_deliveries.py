"""Webhooks from a followed change to a receiver: delivered signed and once decided, retried, ordered, given up."""

from collections import Counter

import pytest

from services.segmenter.webhooks.attempts import DELAYS_MS
from services.segmenter.webhooks.deliveries import DeliveryHandler
from tests.e2e.webhooks.rig import Process, WebhookRig, change
from tests.webhook_receiver import Answer, Receiver


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
