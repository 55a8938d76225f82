"""`headrace serve`, `migrate`, `restored` and `topics create`: what an operator runs instead of `headrace up`."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping

from headrace.contracts.errors import HeadraceError
from headrace.local.restored import embedded_postgres, note_restored
from headrace.local.services import Service, installed_services, migrating
from headrace.log.connect import connect_log
from headrace.log.topics import ensure_topics
from headrace.runtime.settings import Environment


class UnknownService(HeadraceError):
    """There is no such service in this installation."""


class MigrationFailed(HeadraceError):
    """A service's migration ended with an error; its own words stand above."""


def serve(name: str) -> None:
    """Become the service: the process keeps its id, so signals reach it."""
    service = _service(name)
    os.execv(service.command[0], service.command)  # noqa: S606 (our own interpreter)


def migrate() -> None:
    """Run every service's migrations, each after those whose views it reads."""
    for service in migrating(installed_services()):
        done = subprocess.run([*service.command, "migrate"], check=False)  # noqa: S603 (our own interpreter)
        if done.returncode:
            raise MigrationFailed(f"the migration of {service.name} failed (exit code {done.returncode})")
        sys.stdout.write(f"{service.name} migrated\n")


NEXT_STEPS = """The database is known to be restored from a backup.

1. Start ingest and profiles; wait until profiles is ready: who was erased since the backup is erased again.
2. Start segmenter and messenger: the segmenter rebuilds, the messenger first reads from the log what it has sent.
3. Apply again what was changed since the backup: segments, campaigns, templates, tokens, write keys.
4. Look at the messages with status unknown and reason restored: they may have been sent, and are not sent again.

docs/backup.md says what cannot come back.
"""


def restored(values: Mapping[str, str]) -> None:
    """Say that the database was restored: the one at HEADRACE_DATABASE_URL, else that of `headrace up`."""
    asyncio.run(_restored(values))
    sys.stdout.write(NEXT_STEPS)


async def _restored(values: Mapping[str, str]) -> None:
    services = installed_services()
    url = Environment(values).optional("HEADRACE_DATABASE_URL")
    if url:
        await note_restored(url, services)
        return
    async with embedded_postgres(values) as embedded:
        await note_restored(embedded, services)


def create_topics(values: Mapping[str, str]) -> None:
    """Create the topics that are missing in the log at HEADRACE_LOG_URL and check the others."""
    env = Environment(values)
    log_url = env.text("HEADRACE_LOG_URL")
    kafka = log_url.startswith("kafka")
    partitions = env.integer("HEADRACE_PARTITIONS", 24 if kafka else 4, low=1, high=10_000)
    horizon = env.duration_ms("HEADRACE_ROLLBACK_HORIZON", "24h" if kafka else "10m")
    asyncio.run(_create_topics(log_url, env.text("HEADRACE_TOPIC_PREFIX", ""), partitions, horizon))


async def _create_topics(log_url: str, prefix: str, partitions: int, horizon: int) -> None:
    log = await connect_log(log_url, rollback_horizon_ms=horizon)
    try:
        await ensure_topics(log, prefix=prefix, partitions=partitions)
    finally:
        await log.close()


def _service(name: str) -> Service:
    services = {service.name: service for service in installed_services()}
    if name not in services:
        raise UnknownService(f"there is no service {name!r}; the services are {', '.join(sorted(services))}")
    return services[name]
