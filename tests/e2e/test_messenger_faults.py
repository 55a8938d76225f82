"""Providers that throttle, fail and lose replies, and a messenger that is killed again and again: nobody gets a
message twice, and of what is unknown one knows how much it is.

HEADRACE_TEST_ENTRIES=10000 for the whole of it; CI takes fewer.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest
from aiohttp import web

from headrace.contracts.provider_callback import ProviderCallback
from headrace.contracts.topics import PROVIDER_CALLBACKS, SEGMENT_CHANGES, partition_of
from headrace.local.ports import free_port
from headrace.log.port import NewRecord
from tests.unit.messenger.rig import (
    PARTITIONS,
    START,
    TOKEN,
    Rig,
    campaign,
    entered,
    eventually,
    open_rig,
    prepare_database,
)

ENTRIES = int(os.environ.get("HEADRACE_TEST_ENTRIES", "600"))
CONCURRENCY = 16
KILLS = 6
BAD = 0.2


@dataclass
class Sms:
    """Twilio's messages resource: one in five requests ends badly, some of them after it has taken the message on.
    It does not recognise a repeated message."""

    random: Random = field(default_factory=lambda: Random(6))
    accepted: Counter[str] = field(default_factory=Counter)
    callbacks: dict[str, str] = field(default_factory=dict)
    doubtful: int = 0
    requests: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        to = str(form["To"])
        self.callbacks[to] = str(form["StatusCallback"])
        self.requests += 1
        if self.random.random() >= BAD:
            self.accepted[to] += 1
            return web.json_response({"sid": f"SM{self.requests:032x}", "status": "queued"}, status=201)
        how = self.random.choice(["throttle", "fail", "fail after", "lose the reply"])
        if how == "throttle":
            return web.json_response({"code": 20429}, status=429, headers={"Retry-After": "0"})
        self.doubtful += 1
        if how != "fail":
            self.accepted[to] += 1
        if how == "lose the reply" and request.transport is not None:
            request.transport.abort()
        return web.json_response({"code": 20500}, status=500)


class Asked(Protocol):
    """What is behind a provider, and how often it was asked."""

    requests: int


@asynccontextmanager
async def serving(handler: Sms) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/AC1/Messages.json", handler.take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Rig]:
    await prepare_database(database_url)
    async with open_rig(database_url, log_url, tmp_path, topic_prefix=topic_prefix) as rig:
        await rig.define(
            {"kind": "template", "id": "hello", "channel": "sms", "text": "Hi"}, campaign(max_entry_age="9999w")
        )
        await many_customers(rig)
        yield rig


async def many_customers(rig: Rig) -> None:
    """One for each entry, so that a phone number tells the entry."""
    consents = msgspec.json.encode({"sms": {"status": "granted", "time": START - 1_000}}).decode()
    await rig.pool.executemany(
        "INSERT INTO profiles.profile_v1 VALUES ($1, NULL, $2, $3, '{}', '[]', '[]', NULL, 0, 0)",
        [(f"p{n}", msgspec.json.encode({"phone": phone(n)}).decode(), consents) for n in range(ENTRIES)],
    )


def phone(number: int) -> str:
    return f"+420601{number:06d}"


async def everybody_enters(rig: Rig) -> None:
    for number in range(ENTRIES):
        profile_id = f"p{number}"
        value = entered(profile_id, f"e{number}", at=START)
        await rig.publish(SEGMENT_CHANGES.name, partition_of(profile_id, PARTITIONS), value)


def environment(rig: Rig, database_url: str, log_url: str, topic_prefix: str, port: int) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_LOG_URL": log_url,
        "HEADRACE_TOPIC_PREFIX": topic_prefix,
        "HEADRACE_DATABASE_URL": database_url,
        "HEADRACE_DATA_DIR": str(rig.data_dir),
        "HEADRACE_ADMIN_TOKEN": TOKEN,
        "HEADRACE_PARTITIONS": str(PARTITIONS),
        "HEADRACE_MESSENGER_PORT": str(free_port()),
        "HEADRACE_SEND_CONCURRENCY": str(CONCURRENCY),
        "HEADRACE_HOOKS_URL": "https://hooks.shop.test",
        "HEADRACE_SMS_URL": f"twilio+http://AC1:token@127.0.0.1:{port}?from=%2B420777000000",
    }


async def killed_until_done(rig: Rig, provider: Asked, env: dict[str, str]) -> int:
    """Run messengers and kill each in the midst of its work until nothing waits; how often one was killed."""
    kills = 0
    while True:
        until = provider.requests + ENTRIES // KILLS
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.messenger", env=env)
        try:
            async with asyncio.timeout(180):
                while provider.requests < until and (still := await waiting(rig)):
                    await asyncio.sleep(0.01)
                    await rig.pool.execute(_SOON)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        if not still and not await waiting(rig):  # what was being sent may have been put off meanwhile
            return kills
        kills += 1


async def left_in_peace(rig: Rig, env: dict[str, str]) -> None:
    """Run a messenger until nothing is waiting or being sent."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.messenger", env=env)
    try:
        async with asyncio.timeout(180):
            while {"pending", "claimed"} & set(await rig.statuses()):
                await asyncio.sleep(0.01)
                await rig.pool.execute(_SOON)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


# A message that was in the hands of many who were killed waits for minutes: here for a second.
_SOON = """
    UPDATE message SET due_at = 0 WHERE status = 'pending'
        AND due_at > 1000 + (SELECT extract(epoch FROM clock_timestamp()) * 1000)
"""


async def waiting(rig: Rig) -> bool:
    """Whether something is still to be decided or sent. What a killed process held is in doubt, and is called so
    after a minute."""
    entries = await rig.pool.fetchval("SELECT count(*) FROM entry")
    return (
        bool(await rig.pool.fetchval("SELECT count(*) FROM message WHERE status = 'pending'")) or entries < ENTRIES
    )


@pytest.mark.timeout(600)
async def test_nobody_gets_a_message_twice_and_what_is_unknown_is_what_was_in_flight(
    rig: Rig, database_url: str, log_url: str, topic_prefix: str
) -> None:
    provider = Sms()
    await everybody_enters(rig)
    async with serving(provider) as port:
        kills = await killed_until_done(rig, provider, environment(rig, database_url, log_url, topic_prefix, port))
    # the minute after which a silent claim is called unknown is over
    messenger = await rig.assemble()
    newest = await rig.pool.fetchval("SELECT max(claimed_at) FROM message")
    await messenger.claims.recover(int(newest) + 60_001)

    rows = await rig.pool.fetch("SELECT address, status, reason FROM message")
    statuses = Counter(row["status"] for row in rows)
    assert len(rows) == ENTRIES
    assert set(statuses) <= {"accepted", "unknown"}
    assert max(provider.accepted.values()) == 1, "nobody twice"
    known = {row["address"] for row in rows if row["status"] == "accepted"}
    assert known <= set(provider.accepted), "accepted means accepted"
    assert statuses["unknown"] <= provider.doubtful + kills * CONCURRENCY
    lost = {row["address"] for row in rows} - set(provider.accepted)
    assert lost <= {row["address"] for row in rows if row["status"] == "unknown"}, "nothing is lost unseen"
    await receipts_settle_the_rest(rig, provider, environment(rig, database_url, log_url, topic_prefix, port))


async def receipts_settle_the_rest(rig: Rig, provider: Sms, env: dict[str, str]) -> None:
    """Once the provider has told of every message that it took on, nothing that it did is unknown any more."""
    topic = rig.topic_prefix + PROVIDER_CALLBACKS.name
    records = []
    for number, to in enumerate(provider.accepted):
        callback = ProviderCallback(
            id=f"c{number}",
            provider="twilio",
            received_at=START,
            content_type="application/x-www-form-urlencoded",
            body=urlencode({"MessageSid": f"SM{number:032x}", "MessageStatus": "delivered", "To": to}),
            query=urlsplit(provider.callbacks[to]).query,
        )
        records.append(NewRecord(None, msgspec.json.encode(callback), ()))
    await rig.log.append(topic, 0, records + records[: len(records) // 3])  # some come twice
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.messenger", env=env)
    try:
        await eventually(lambda: all_read(rig, topic), 60)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    rows = await rig.pool.fetch("SELECT address, status FROM message")
    assert {row["address"] for row in rows if row["status"] == "delivered"} == set(provider.accepted)
    assert {row["address"] for row in rows if row["status"] == "unknown"} == (
        {row["address"] for row in rows} - set(provider.accepted)
    )


async def all_read(rig: Rig, topic: str) -> bool:
    end = (await rig.log.bounds(topic, 0)).end
    query = "SELECT next_offset FROM input_position WHERE topic = $1 AND partition = 0"
    return int(await rig.pool.fetchval(query, topic) or 0) >= end
