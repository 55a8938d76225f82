"""Eight that commit batches about few people, while others merge these, take them apart and quarantine what they
share: at the end every event is exactly one customer's, and each customer is what its own events alone make of
one.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import msgspec
import pytest

from headrace.contracts.event import Event
from headrace.contracts.instant import Millis, format_instant
from headrace.log.port import Record
from headrace.runtime.migrations import migrate
from services.profiles.batch import Batch, commit_batch
from services.profiles.identifiers_sql import Overtaken
from services.profiles.intake import event_reader
from services.profiles.merging import merge
from services.profiles.store import MIGRATIONS, SCHEMA, connect, initialise
from services.profiles.unmerging import NothingLeft, NotTheirs, UnknownProfile, take_apart, take_out, undo
from tests.e2e.parting_town import EVENTS, T0, Town
from tests.e2e.test_profiles_unmerge_random import Checker

WORKERS = 8
BATCHES = 12
BATCH = 5
SECONDS = 60.0
CITIES = ("Brno", "Praha", "Plzeň")
_TOO_LATE = (NothingLeft, NotTheirs, UnknownProfile)


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect(database_url)
    await initialise(pool, [EVENTS], WORKERS)
    yield Town(pool)
    await pool.close()


def somebody(chance: random.Random, q: int, offset: int) -> Record:
    """What one of a few people does, with some of eight cards and four users."""
    named = chance.sample("abcdefgh", chance.choice((1, 1, 2)))
    external = [{"id": one, "type": "card", "collection": "users"} for one in named[1:]]
    at = format_instant(T0 + chance.randrange(100_000))
    found = Event(
        type="identify",
        message_id=f"m{q}-{offset}",
        source="shop",
        timestamp=at,
        received_at=at,
        user_id=f"u{chance.randrange(4)}" if chance.random() < 0.3 else None,
        anonymous_id=named[0],
        traits=msgspec.Raw(msgspec.json.encode({"city": chance.choice(CITIES)})),
        context=msgspec.Raw(msgspec.json.encode({"externalIds": external})),
        trusted=True,
    )
    return Record(EVENTS, q, offset, T0 + 200_000, b"k", msgspec.json.encode(found), ())


async def commit(town: Town, chance: random.Random, q: int) -> None:
    """A worker: who was overtaken, or in a deadlock, begins again."""
    read = event_reader("CZ")
    for first in range(0, BATCHES * BATCH, BATCH):
        incoming = [read(somebody(chance, q, first + n)) for n in range(BATCH)]
        town.sent.update((one.key, one) for one in incoming)
        batch = Batch(EVENTS, q, first, [T0 + 200_000] * BATCH, list(enumerate(incoming)))
        done = False
        while not done:
            with suppress(asyncpg.DeadlockDetectedError, Overtaken):
                await commit_batch(town.pool, batch, WORKERS)
                done = True


async def part(town: Town, chance: random.Random, name: str) -> None:
    """An administrator."""
    for number in range(15):
        owned = await town.pool.fetch("SELECT type, value, profile_id FROM identifier ORDER BY type, value")
        if len(owned) < 2:
            await asyncio.sleep(0)
            continue
        one, other = chance.sample(owned, 2)
        await merge(town.pool, one["profile_id"], other["profile_id"], WORKERS)
        found = chance.choice(owned)
        with suppress(*_TOO_LATE):
            out = found["type"], found["value"]
            await take_out(town.pool, found["profile_id"], out, f"{name}-{number}", WORKERS)
        await undo_one(town, chance, f"{name}-undo-{number}")
        if number % 5 == 0:
            soft = [one for one in owned if one["type"] != "user_id"]
            # one that is in quarantine was put there at a time of its own
            shared = chance.choice(soft)
            await share(town, shared["type"], shared["value"], T0 + 1_000 * ord(name[0]) + number)


async def undo_one(town: Town, chance: random.Random, request: str) -> None:
    made = await town.pool.fetch("SELECT n, profile_id FROM decision WHERE kind = 'merged' ORDER BY n")
    if made:
        decision = chance.choice(made)
        with suppress(*_TOO_LATE):
            await undo(town.pool, decision["profile_id"], decision["n"], request, WORKERS)


async def share(town: Town, kind: str, value: str, at: Millis) -> None:
    await town.pool.execute(
        "UPDATE identifier SET quarantined_at = $3, taken_apart = false "
        "WHERE (type, value) = ($1, $2) AND quarantined_at IS NULL",
        kind,
        value,
        at,
    )
    await asyncio.gather(*(take_apart(town.pool, kind, value, WORKERS) for _ in range(2)))


class LooseChecker(Checker):
    """Who has been taken apart may have been seen when none of its events says so."""

    def __init__(self, town: Town) -> None:
        super().__init__(town)
        self._dated = False


async def lead_somewhere(town: Town) -> None:
    """Every id there ever was leads, in one step, to a profile that is live."""
    lost = await town.pool.fetch(
        "SELECT p.id FROM profile p LEFT JOIN alias a ON a.profile_id = p.id "
        "LEFT JOIN profile r ON r.id = coalesce(a.root, p.id) WHERE r.id IS NULL OR r.merged_into IS NOT NULL"
    )
    assert not lost


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_lost_or_doubled_while_customers_part_under_the_workers(town: Town, seed: int) -> None:
    chance = random.Random(seed)
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        for q in range(WORKERS):
            tasks.create_task(commit(town, random.Random(chance.random()), q))
        for name in ("ann", "bob"):
            tasks.create_task(part(town, random.Random(chance.random()), name))
    await LooseChecker(town).check()
    await lead_somewhere(town)
    assert await town.pool.fetchval("SELECT count(*) FROM unmerge") > 5, "nobody was taken apart"
