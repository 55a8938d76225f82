"""A receiver that throttles, fails and loses replies, and a messenger that is killed again and again: with
idempotency every entry's webhook is taken exactly once.

HEADRACE_TEST_ENTRIES=10000 for the whole of it; CI takes fewer.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from headrace.local.ports import free_port
from headrace.runtime.clock import now_ms
from headrace.runtime.webhooks.address import PUBLIC
from services.messenger.providers.webhook import WebhookProvider
from tests.e2e.test_messenger_faults import (
    BAD,
    ENTRIES,
    environment,
    everybody_enters,
    killed_until_done,
    left_in_peace,
)
from tests.unit.messenger.rig import Rig, campaign, open_rig, prepare_database

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Hooks:
    """One in five requests ends badly, some after it was taken. What was taken is known by `webhook-id`."""

    random: Random = field(default_factory=lambda: Random(9))
    taken: Counter[str] = field(default_factory=Counter)
    ids: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    requests: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert request.headers["webhook-signature"].startswith("v1,")
        self.requests += 1
        bad = self.random.random() < BAD
        how = self.random.choice(["throttle", "fail", "fail after", "lose"]) if bad else "well"
        if how == "throttle":
            return web.Response(status=429, headers={"Retry-After": "0"})
        if how != "fail":
            self._keep(request.headers["webhook-id"], body["data"]["entry_id"])
        if how == "lose" and request.transport is not None:
            request.transport.abort()
        return web.Response(status=204 if how == "well" else 500)

    def _keep(self, webhook_id: str, entry_id: str) -> None:
        known = self.ids.get(webhook_id)
        assert known in (None, entry_id), "an id is one message's"
        if known is None:
            self.ids[webhook_id] = entry_id
            self.taken[entry_id] += 1
        else:
            self.repeated += 1


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Rig]:
    await prepare_database(database_url)
    async with open_rig(database_url, log_url, tmp_path, topic_prefix=topic_prefix) as rig:
        await rig.pool.executemany(
            "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, '{}', '{}', '{}', '[]', '[]', NULL, 0, 0)",
            [(f"p{n}",) for n in range(ENTRIES)],
        )
        yield rig


@pytest.mark.timeout(600)
async def test_every_webhook_is_taken_exactly_once(
    rig: Rig, database_url: str, log_url: str, topic_prefix: str
) -> None:
    hooks, port = Hooks(), free_port()
    app = web.Application()
    app.router.add_post("/hook", hooks.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    step = {"webhook": {"url": f"http://127.0.0.1:{port}/hook", "body": {"points": 1}}}
    await rig.define(campaign(max_entry_age="9999w", steps=[step]))
    await everybody_enters(rig)
    env = environment(rig, database_url, log_url, topic_prefix, port)
    env |= {"HEADRACE_WEBHOOK_SECRET": SECRET, "HEADRACE_WEBHOOK_ALLOW": "127.0.0.1/32"}

    kills = await killed_until_done(rig, hooks, env)
    rig.providers["webhook"] = [WebhookProvider([SECRET], PUBLIC, rig.clock)]  # as the processes have it
    messenger = await rig.assemble()
    # the last one was killed with claims in its hands: another recovers them
    await rig.pool.execute("UPDATE message SET claimed_at = 0 WHERE status = 'claimed'")  # long ago
    await messenger.claims.recover(now_ms())
    await left_in_peace(rig, env)
    await runner.cleanup()

    assert set(await rig.statuses()) == {"accepted"}
    assert hooks.taken == Counter({f"e{n}": 1 for n in range(ENTRIES)})
    assert hooks.repeated > 0, "replies were lost, and the receiver was asked again"
    assert kills > 0
