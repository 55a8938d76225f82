"""Everything at once on few people: workers that all own everything, merges, erasures and controls by hand."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import pairwise

import pytest

from headrace.contracts import topics
from headrace.contracts.event import Event
from headrace.contracts.profile_event import (
    ControlRequest,
    ErasureRow,
    EventRow,
    ProfileEvent,
    Tick,
    TombstoneRow,
)
from services.profiles.erasure import erase
from services.profiles.history_sql import FAMILY, ROWS_OF
from services.profiles.merging import merge
from services.profiles.store import put_control
from services.profiles.unmerging import NothingLeft, NotTheirs, UnknownProfile, take_apart, take_out
from tests.e2e.profiles_rig import T0, Rig, event, profiles_rig, record

PARTITIONS = 3
EVENTS = 400


_QUARANTINE = """
    UPDATE identifier SET quarantined_at = $3, taken_apart = false
    WHERE (type, value) = ($1, $2) AND quarantined_at IS NULL
"""


_EVENTS = f"""
    SELECT rows.q, rows.seq FROM ({ROWS_OF.format(columns="timeline.q, timeline.seq, kind", family="$1::text[]")})
        AS rows WHERE kind = 'event'
"""


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, PARTITIONS, topic_prefix=topic_prefix) as rig:
        yield rig


def somebody(chance: random.Random, number: int) -> Event:
    """An event that connects some of eight users, twelve browsers and six addresses; one in ten comes twice."""
    email = {"email": f"e{chance.randrange(6)}@shop.test"} if chance.random() < 0.4 else {}
    return event(
        "identify" if email or chance.random() < 0.3 else "track",
        user=f"u{chance.randrange(8)}" if chance.random() < 0.5 else None,
        anonymous=f"a{chance.randrange(12)}",
        at=T0 + chance.randrange(1_000_000),
        message_id=f"m{number - 1 if chance.random() < 0.1 else number}",
        traits={"n": number, **email},
    )


async def interfere(rig: Rig, chance: random.Random) -> None:
    """What administrators do meanwhile."""
    for number in range(25):
        found = await rig.pool.fetch("SELECT id FROM profile ORDER BY id")
        ids = [row["id"] for row in found] or ["nobody"]
        await erase(rig.pool, chance.choice(ids), PARTITIONS)
        await merge(rig.pool, chance.choice(ids), chance.choice(ids), PARTITIONS)
        await put_control(rig.pool, ControlRequest(id=f"c{number}", kind="define"), PARTITIONS)
        await part(rig, chance, number)


async def part(rig: Rig, chance: random.Random, number: int) -> None:
    """Take somebody apart, or what somebody shares with others."""
    found = await rig.pool.fetch("SELECT type, value, profile_id FROM identifier ORDER BY type, value")
    if not found:
        return
    kind, value, owner = chance.choice(found)
    with suppress(NothingLeft, NotTheirs, UnknownProfile):
        await take_out(rig.pool, owner, (kind, value), f"out-{number}", PARTITIONS)
    if number % 5 == 0:
        kind, value, _ = chance.choice([row for row in found if row["type"] != "user_id"])
        await rig.pool.execute(_QUARANTINE, kind, value, number)
        await take_apart(rig.pool, kind, value, PARTITIONS)


async def test_whatever_meets_on_the_same_people_nobody_is_mixed_up(rig: Rig) -> None:
    chance = random.Random(1)
    sent = [somebody(chance, number) for number in range(EVENTS)]
    async with AsyncExitStack() as workers:
        for _ in range(2):
            await workers.enter_async_context(rig.worker())
        disturbance = asyncio.create_task(interfere(rig, chance))
        for one in sent:
            await rig.log.append(rig.topic(topics.EVENTS), chance.randrange(PARTITIONS), [record(one)])
        await disturbance
        await rig.processed()
    rows = [await rig.published(q) for q in rig.partitions]
    check_streams(rows, {one.message_id for one in sent})
    await check_people(rig)
    await check_histories(rig)
    assert await rig.pool.fetchval("SELECT count(*) FROM unmerge") > 5, "nobody was taken apart"


def check_streams(partitions: list[list[ProfileEvent]], sent: set[str]) -> None:
    seen: Counter[str] = Counter()
    for stream in partitions:
        rows = {row.seq: row for row in stream if not isinstance(row, Tick)}
        ordered = [rows[seq] for seq in sorted(rows)]
        assert [row.seq for row in ordered] == list(range(1, len(ordered) + 1))
        for before, after in pairwise(ordered):
            assert before.time <= after.time
            assert before.low <= after.low
        gone: set[str] = set()
        for row in ordered:
            if isinstance(row, EventRow):
                assert row.ts <= row.time
                assert row.low <= row.time
                assert row.profile_id not in gone, "a row of a profile that was merged away or erased before"
                seen[row.message_id] += 1
            elif isinstance(row, TombstoneRow | ErasureRow):
                gone.add(row.profile_id)
    assert seen == Counter(sent), "each message is in the timeline once"


async def check_people(rig: Rig) -> None:
    pool = rig.pool
    assert await pool.fetchval("SELECT count(*) FROM identifier WHERE profile_id IS NULL") == 0
    live = {
        row["id"] for row in await pool.fetch("SELECT id FROM profile WHERE merged_into IS NULL AND NOT erased")
    }
    owners = await pool.fetch(
        "SELECT i.type, i.value, coalesce(a.root, i.profile_id) AS owner, p.user_id FROM identifier i "
        "LEFT JOIN alias a ON a.profile_id = i.profile_id JOIN profile p ON p.id = coalesce(a.root, i.profile_id)"
    )
    assert {row["owner"] for row in owners} == live, "every live profile has identifiers, and nobody else has"
    users: dict[str, set[str]] = {}
    for row in owners:
        if row["type"] == "user_id":
            users.setdefault(row["owner"], set()).add(row["value"])
            assert row["user_id"] == row["value"]
    assert all(len(found) == 1 for found in users.values()), "two customers became one"
    chained = "SELECT count(*) FROM alias a JOIN alias b ON b.profile_id = a.root"
    assert await pool.fetchval(chained) == 0


async def check_histories(rig: Rig) -> None:
    """Every event is in the history of one customer, erased or not."""
    roots = await rig.pool.fetch("SELECT id FROM profile WHERE merged_into IS NULL")
    found: Counter[tuple[int, int]] = Counter()
    for root in roots:
        members = await rig.pool.fetch(FAMILY, root["id"])
        rows = await rig.pool.fetch(_EVENTS, [row["id"] for row in members])
        found.update((row["q"], row["seq"]) for row in rows)
    events = await rig.pool.fetch("SELECT q, seq FROM timeline WHERE kind = 'event'")
    assert found == Counter((row["q"], row["seq"]) for row in events)
