"""The messenger as a process of its own, killed again and again: every entry ends in the outbox exactly once."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from headrace.local.ports import free_port
from tests.unit.messenger.rig import (
    CAMPAIGN,
    PARTITIONS,
    SMS,
    TOKEN,
    ManualClock,
    Rig,
    eventually,
    open_rig,
    prepare_database,
)

CUSTOMERS = 20
ENTRIES = 150
KILLS = 3


@pytest.fixture
async def engines(
    database_url: str, log_url: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[tuple[Rig, dict[str, str]]]:
    """Engines with a live campaign, and the environment of a messenger on them."""
    await prepare_database(database_url)
    async with open_rig(database_url, log_url, tmp_path, topic_prefix=topic_prefix) as rig:
        rig.clock = ManualClock(time.time_ns() // 1_000_000)
        await rig.define(SMS, CAMPAIGN)
        for number in range(CUSTOMERS):
            await rig.customer(f"p{number}", phone=f"+4206010000{number:02d}")
        yield (
            rig,
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
                "HEADRACE_LOG_URL": log_url,
                "HEADRACE_TOPIC_PREFIX": topic_prefix,
                "HEADRACE_DATABASE_URL": database_url,
                "HEADRACE_DATA_DIR": str(tmp_path),
                "HEADRACE_ADMIN_TOKEN": TOKEN,
                "HEADRACE_PARTITIONS": str(PARTITIONS),
                "HEADRACE_MESSENGER_PORT": str(free_port()),
                "HEADRACE_SEND_CONCURRENCY": "16",
            },
        )


@asynccontextmanager
async def messenger(env: dict[str, str], *, stop: signal.Signals) -> AsyncIterator[asyncio.subprocess.Process]:
    """A messenger process, stopped by `stop` in the end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.messenger", env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(stop)
        await process.wait()


def lines(tmp_path: Path) -> list[str]:
    path = tmp_path / "outbox" / "sms.jsonl"
    if not path.exists():
        return []
    return [msgspec.json.decode(line)["id"] for line in path.read_bytes().splitlines()]


async def test_killed_again_and_again_every_entry_is_sent_exactly_once(
    engines: tuple[Rig, dict[str, str]], tmp_path: Path
) -> None:
    rig, env = engines

    for kill in range(KILLS):
        for number in range(kill * ENTRIES // KILLS, (kill + 1) * ENTRIES // KILLS):
            await rig.enter(f"p{number % CUSTOMERS}", f"e{number}")
        async with messenger(env, stop=signal.SIGKILL):
            await eventually(partial(has_more_lines, tmp_path, len(lines(tmp_path))), 40)
    assert len(lines(tmp_path)) < ENTRIES

    async def all_accepted() -> bool:
        return await accepted(rig) == ENTRIES == len({o.id for o in await rig.published()})

    async with messenger(env, stop=signal.SIGTERM) as process:
        await eventually(all_accepted, 60)
    assert process.returncode == 0
    assert len(lines(tmp_path)) == len(set(lines(tmp_path))) == ENTRIES
    outcomes = [outcome.message_id for outcome in await rig.published()]
    assert len(outcomes) == len(set(outcomes)) == ENTRIES


async def accepted(rig: Rig) -> int:
    return int(await rig.pool.fetchval("SELECT count(*) FROM message WHERE status = 'accepted'"))


async def test_from_entry_to_outbox_takes_milliseconds(
    engines: tuple[Rig, dict[str, str]], tmp_path: Path
) -> None:
    rig, env = engines
    async with messenger(env, stop=signal.SIGTERM):
        await rig.enter("p0", "first")
        await eventually(partial(has_more_lines, tmp_path, 0), 40)
        taken = []
        for number in range(20):
            started = time.monotonic()
            await rig.enter("p0", f"e{number}")
            await eventually(partial(has_more_lines, tmp_path, number + 1))
            taken.append(time.monotonic() - started)
    assert sorted(taken)[len(taken) // 2] < 0.9, "nothing on the way looks only once a second"


async def has_more_lines(tmp_path: Path, than: int) -> bool:
    return len(lines(tmp_path)) > than


async def test_a_wrong_setting_is_said_in_one_line(engines: tuple[Rig, dict[str, str]]) -> None:
    _, env = engines
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.messenger"),
        env={**env, "HEADRACE_EMAIL_URL": "smtp://mail.test:587"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert (
        said.decode()
        .strip()
        .endswith("HEADRACE_EMAIL_URL needs ?from=address, e.g. smtp://user:pass@host:587?from=shop@example.com")
    )
