"""Webhooks on a real Postgres, without the rest of the segmenter: the test is the follower and owns the clock."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import msgspec

from headrace.contracts.instant import format_instant
from headrace.contracts.segment_change import ChangeProfile, SegmentChange
from headrace.log.port import Record
from headrace.runtime.http import create_app
from headrace.runtime.metrics import Metrics
from headrace.runtime.postgres import connect_pool
from headrace.runtime.webhooks.address import ANYWHERE
from headrace.runtime.webhooks.transport import Transport
from services.segmenter.followed import FollowedChange
from services.segmenter.main import SCHEMA
from services.segmenter.subscription_routes import subscription_router
from services.segmenter.webhooks.assembly import Webhooks, assemble_webhooks
from services.segmenter.webhooks.settings import WebhookSettings

T0 = 1_790_000_000_000
ADMIN = {"Authorization": "Bearer admin"}
_numbers = itertools.count(1)


def change(
    profile: str, segment: str = "vip", action: str = "entered", *, reason: str = "event"
) -> FollowedChange:
    number = next(_numbers)
    value = SegmentChange(
        event="Audience Entered" if action == "entered" else "Audience Exited",
        message_id=f"m{number}",
        user_id=f"user-{profile}",
        anonymous_id=None,
        timestamp=format_instant(T0),
        properties={"segment_id": segment, "action": action, "reason": reason, "sequence": number},
        context={"traits": {"email": f"{profile}@example.com"}, "externalIds": []},
        profile=ChangeProfile(profile),
    )
    body = msgspec.json.encode(value)
    record = Record("cdp.segment-changes.v1", 0, number, T0, profile.encode(), body, ())
    return FollowedChange(0, number, 1, number, record, value)


def address(path: str) -> str:
    """Of what lies below the subscriptions, or (with nothing before a `?`) of their list."""
    return f"/v1/subscriptions/{path}".replace("/?", "?").rstrip("/")


@dataclass
class Process:
    """One segmenter's webhooks."""

    webhooks: Webhooks
    metrics: Metrics
    api: httpx.AsyncClient

    async def round(self) -> None:
        """Send what is due, and wait until that has ended."""
        while await self.webhooks.sender.claim_once():
            await self.webhooks.sender.idle()

    async def put(self, id: str, **document: Any) -> dict[str, Any]:
        answer = await self.api.put(f"/v1/subscriptions/{id}", json=document)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.api.get(address(path))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def post(self, path: str) -> dict[str, Any]:
        answer = await self.api.post(address(path))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def deliveries(self, id: str, status: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get(f"{id}/deliveries{status and f'?status={status}'}"))["items"]
        return items

    def counted(self, outcome: str, subscription: str = "shop") -> float:
        labels = {"subscription": subscription, "outcome": outcome}
        return self.metrics.registry.get_sample_value("headrace_webhook_deliveries_total", labels) or 0.0

    def disabled(self, reason: str) -> float:
        name = "headrace_webhook_subscriptions_disabled_total"
        return self.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


@dataclass
class WebhookRig:
    pool: "asyncpg.Pool[asyncpg.Record]"
    database_url: str
    now: int = T0

    async def follow(self, process: Process, *changes: FollowedChange) -> Sequence[FollowedChange]:
        """As the follower does: one transaction, then the word that it has committed."""
        handler = process.webhooks.handler
        async with self.pool.acquire() as connection, connection.transaction():
            await handler.apply(connection, changes)
        handler.committed()
        return changes

    @asynccontextmanager
    async def process(self, *, timeout: float = 5.0, **settings: Any) -> AsyncIterator[Process]:
        chosen = WebhookSettings(**{"reach": ANYWHERE, **settings})
        metrics = Metrics("test")
        transport = Transport(chosen.reach, concurrency=chosen.concurrency, timeout=timeout)
        webhooks = assemble_webhooks(chosen, self.pool, metrics, clock=lambda: self.now, transport=transport)
        app = create_app("webhooks", metrics=metrics, checks={})
        app.include_router(subscription_router(webhooks, admin_token="admin"))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://segmenter", headers=ADMIN
        ) as api:
            try:
                yield Process(webhooks, metrics, api)
            finally:
                await transport.close()

    @asynccontextmanager
    async def running(self, process: Process) -> AsyncIterator[None]:
        """With its sender running by itself."""
        task = asyncio.create_task(process.webhooks.sender.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def webhook_rig(database_url: str) -> AsyncIterator[WebhookRig]:
    """On the segmenter's migrated schema, emptied of webhooks."""
    pool = await connect_pool(database_url, schema=SCHEMA)
    try:
        await pool.execute("TRUNCATE subscription, delivery")
        yield WebhookRig(pool, database_url)
    finally:
        await pool.close()
