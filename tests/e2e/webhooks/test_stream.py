"""From an event to a receiver through a whole segmenter: its log, its follower, its API, its sender."""

from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from headrace.runtime.webhooks.address import ANYWHERE
from services.segmenter.webhooks.settings import WebhookSettings
from tests.e2e.segmenter_rig import Rig, eventually, segmenter_rig
from tests.webhook_receiver import Receiver


@pytest.fixture
async def stream(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig:
        rig.settings = replace(rig.settings, webhooks=WebhookSettings(reach=ANYWHERE))
        yield rig


async def test_each_published_change_reaches_the_receiver_once(stream: Rig, hooks: Receiver) -> None:
    async with stream.segmenter() as running:
        await stream.live(running.api, "buyers", {"event": {"name": "Order Completed"}})
        answer = await running.api.put("/v1/subscriptions/shop", json={"url": f"{hooks.url}/hook"})
        secret = answer.json()["secret"]
        for number in range(5):
            await stream.event(f"p{number}")
        await hooks.until(5)
    async with stream.segmenter():  # goes on where the other one was
        await stream.event("p5")
        await hooks.until(6)
    published = {record.value for record in await stream.change_records()}
    assert {request.body for request in hooks.requests} == published
    assert len(hooks.requests) == len(published) == 6
    for request in hooks.requests:
        assert request.id == msgspec.json.decode(request.body)["messageId"]
        assert request.signed_by(secret) == [True]


async def test_a_receiver_that_hangs_does_not_hold_up_membership(stream: Rig, hooks: Receiver) -> None:
    hooks.answers["/hook"] = hooks.hang
    async with stream.segmenter() as running:
        await stream.live(running.api, "buyers", {"event": {"name": "Order Completed"}})
        await running.api.put("/v1/subscriptions/shop", json={"url": f"{hooks.url}/hook"})
        for number in range(20):
            await stream.event(f"p{number}")
        await hooks.until(1)

        async def counted() -> bool:
            shown = (await running.api.get("/v1/subscriptions/shop")).json()
            return bool(shown["deliveries"]["pending"] == 20)

        await eventually(counted)
        assert (await running.api.get("/v1/segments/buyers")).json()["size"] == 20
        hooks.released.set()
