"""What an operator runs instead of `headrace up`, on real engines."""

import asyncio
import os

import asyncpg
import pytest

from headrace.cli import processes
from headrace.contracts.errors import SettingsError
from headrace.contracts.topics import EVENTS
from headrace.local.restored import NeverUsed, ServicesRun
from headrace.log.connect import connect_log
from headrace.log.port import WrongTopicSettings
from headrace.runtime.postgres import connect_pool


async def test_topics_are_created_and_checked(log_url: str) -> None:
    env = {"HEADRACE_LOG_URL": log_url, "HEADRACE_PARTITIONS": "3", "HEADRACE_TOPIC_PREFIX": "shop."}
    for _ in range(2):
        await asyncio.to_thread(processes.create_topics, env)
    log = await connect_log(log_url, rollback_horizon_ms=1)
    try:
        bounds = [await log.bounds("shop." + EVENTS.name, partition) for partition in range(3)]
    finally:
        await log.close()
    assert [(b.begin, b.end) for b in bounds] == [(0, 0)] * 3
    with pytest.raises(WrongTopicSettings):
        await asyncio.to_thread(processes.create_topics, {**env, "HEADRACE_PARTITIONS": "4"})


async def test_migrate_brings_every_schema_up_to_date(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_DATABASE_URL", database_url)
    await asyncio.to_thread(processes.migrate)
    connection = await asyncpg.connect(database_url)
    try:
        schemas = {row[0] for row in await connection.fetch("SELECT nspname FROM pg_namespace")}
    finally:
        await connection.close()
    migrated = capfd.readouterr().out.split()[0::2]
    assert migrated == ["ingest", "profiles", "segmenter", "messenger"]
    assert {"access", *migrated} - {"ingest"} <= schemas


def test_a_failed_migration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(processes.MigrationFailed, match="the migration of ingest failed"):
        processes.migrate()


def test_topics_need_a_log() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_LOG_URL is not set"):
        processes.create_topics({})


async def test_restored_raises_every_epoch_and_may_be_repeated(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a database without our schemas, and of one that is in use, it says what to do."""
    env = {"HEADRACE_DATABASE_URL": database_url}
    with pytest.raises(NeverUsed, match="restore the backup first"):
        await asyncio.to_thread(processes.restored, env)
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_DATABASE_URL", database_url)
    await asyncio.to_thread(processes.migrate)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO profiles.deployment (partitions, partitioner) VALUES (1, 1)")
        await connection.execute("INSERT INTO profiles.counter (q, next_seq) VALUES (0, 8)")
        await connection.execute("INSERT INTO messenger.store (epoch, partitions) VALUES (1, 1)")
        await connection.execute("INSERT INTO messenger.outcome_published VALUES (0, 1, 5, '5', 9)")
        first, second = [await _restored(env, connection) for _ in range(2)]
        pool = await connect_pool(database_url, schema="messenger")
        with pytest.raises(ServicesRun, match="headrace-messenger still work"):
            await asyncio.to_thread(processes.restored, env)
        await pool.close()
    finally:
        await connection.close()
    assert min(first) > 1
    assert all(after > before for before, after in zip(first, second, strict=True))
    assert "docs/backup.md" in capsys.readouterr().out


async def _restored(env: dict[str, str], connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[int, ...]:
    """The epochs after it; what the backup said stays until it is read."""
    await asyncio.to_thread(processes.restored, env)
    kept = await connection.fetchrow(
        "SELECT epoch, next_seq, restored_from, refilled FROM profiles.restored_counter, "
        "(SELECT restored_from, refilled FROM messenger.store) AS store"
    )
    assert tuple(kept or ()) == (1, 8, 1, False)
    row = await connection.fetchrow(
        "SELECT c.epoch, s.epoch, p.epoch FROM profiles.counter c, messenger.store s, "
        "messenger.outcome_published p"
    )
    return tuple(row or ())
