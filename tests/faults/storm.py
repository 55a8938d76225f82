"""Another client of Postgres that locks what the profile service locks, in the opposite order."""

import asyncio
import random
import time

import asyncpg

_COUNTERS = "SELECT FROM profiles.counter WHERE q = $1 FOR UPDATE"
_PROFILES = "SELECT id FROM profiles.profile ORDER BY last_seen DESC, id DESC LIMIT 20"
_PROFILE = "SELECT FROM profiles.profile WHERE id = $1 FOR UPDATE"
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_HOLD_SECONDS = 0.02
# who looks later is hardly ever the victim; but a circle that closes behind the service's look waits for ours
_PATIENCE = "SET deadlock_timeout = '3s'"


async def storm(url: str, seconds: float, *, clients: int, partitions: int) -> int:
    """Lock counters and customers in falling order for `seconds`; how many deadlocks the server broke. Needs a
    superuser: the service's transactions shall be the victims."""
    watcher = await asyncpg.connect(url)
    before = await watcher.fetchval(_DEADLOCKS)
    until = time.monotonic() + seconds
    await asyncio.gather(*(_client(url, until, partitions, number) for number in range(clients)))
    await watcher.execute("SELECT pg_stat_clear_snapshot()")
    after = await watcher.fetchval(_DEADLOCKS)
    await watcher.close()
    return int(after - before)


async def _client(url: str, until: float, partitions: int, number: int) -> None:
    connection = await asyncpg.connect(url)
    chance = random.Random(number)
    await connection.execute(_PATIENCE)
    while time.monotonic() < until:
        try:
            async with connection.transaction():
                await _lock(connection, partitions, profiles=chance.random() < 1 / 2)
        except asyncpg.DeadlockDetectedError:
            continue
    await connection.close()


async def _lock(connection: "asyncpg.Connection[asyncpg.Record]", partitions: int, *, profiles: bool) -> None:
    """The service takes customers before counters, both in rising order."""
    for q in reversed(range(partitions)):
        await connection.execute(_COUNTERS, q)
        await asyncio.sleep(_HOLD_SECONDS)
    if profiles:
        for row in await connection.fetch(_PROFILES):
            await connection.execute(_PROFILE, row["id"])
