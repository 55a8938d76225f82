"""Who is first to see an identifier, and what happens to one between reading and writing it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from headrace.contracts import topics
from headrace.contracts.event import Event
from headrace.runtime.engine import async_engine
from services.profiles import reads
from services.profiles.batch import Batch, Committed, commit_batch
from services.profiles.erasure import erase
from services.profiles.identifiers_sql import Overtaken
from services.profiles.intake import event_reader
from services.profiles.merging import merge
from services.profiles.store import SCHEMA, Connection
from tests.e2e.profiles_rig import T0, Rig, event, eventually, profiles_rig

PARTITIONS = 8
CUSTOMERS = 20


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, PARTITIONS, topic_prefix=topic_prefix) as rig:
        yield rig


async def test_eight_batches_that_see_the_same_new_people_agree_at_the_first_attempt(rig: Rig) -> None:
    """Whoever claims an identifier makes the others wait, in one order: no deadlock, and nobody starts over."""
    for q in rig.partitions:
        people = range(CUSTOMERS) if q % 2 else reversed(range(CUSTOMERS))
        await rig.send(*(event(user=f"u{n}", anonymous=f"a{n}", at=T0 + q) for n in people), q=q)
    batches = [await batch(rig, q) for q in rig.partitions]
    committed = await asyncio.gather(*(commit_batch(rig.pool, one, PARTITIONS) for one in batches))
    assert [one.rows for one in committed] == [CUSTOMERS] * PARTITIONS
    assert await rig.people() == {
        frozenset({("user_id", f"u{n}"), ("anonymous_id", f"a{n}")}) for n in range(CUSTOMERS)
    }
    assert await sightings(rig) == {(T0, T0 + PARTITIONS - 1)}


async def test_a_sighting_is_kept_that_another_transaction_wrote_meanwhile(rig: Rig) -> None:
    """The row has moved in its table when the batch that found it comes to write it."""
    await sent_and_committed(rig, event(user="u1", at=T0 + 5))

    async def see_later(connection: Connection) -> None:
        await connection.execute("UPDATE identifier SET last_seen = $1", T0 + 9)

    await meanwhile(rig, see_later, event(user="u1", at=T0 + 7))
    assert await sightings(rig) == {(T0 + 5, T0 + 9)}
    await meanwhile(rig, see_later, event(user="u1", at=T0 + 20))
    assert await sightings(rig) == {(T0 + 5, T0 + 20)}


async def test_an_identifier_that_moved_to_another_profile_makes_the_batch_start_over(rig: Rig) -> None:
    await sent_and_committed(rig, event(user="u1"), event(anonymous="a1"))
    [stranger] = [one["id"] for one in await rig.profiles() if one["user_id"] is None]

    async def move(connection: Connection) -> None:
        await connection.execute("UPDATE identifier SET profile_id = $1 WHERE type = 'user_id'", stranger)

    with pytest.raises(Overtaken):
        await meanwhile(rig, move, event(user="u1", name="Late"))
    assert await rig.pool.fetchval("SELECT count(*) FROM timeline") == 2
    await commit(rig)
    assert await rig.pool.fetchval("SELECT profile_id FROM timeline WHERE event = 'Late'") == stranger


async def test_an_event_that_meets_an_erasure_half_way_is_a_new_persons(rig: Rig) -> None:
    await sent_and_committed(rig, event(user="u1"))
    [before] = await rig.profiles()
    await rig.send(event(user="u1", name="Late"), q=0)
    async with rig.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM profile FOR UPDATE")
        erasing = asyncio.create_task(erase(rig.pool, before["id"], PARTITIONS))
        await eventually(lambda: waiting(rig, 1))
        late = asyncio.create_task(commit(rig))
        await eventually(lambda: waiting(rig, 2))
    assert await erasing
    with pytest.raises(Overtaken):
        await late
    await commit(rig)
    [after] = await rig.profiles()
    assert after["id"] != before["id"]
    assert await rig.pool.fetchval("SELECT profile_id FROM timeline WHERE event = 'Late'") == after["id"]


async def test_a_profile_that_goes_into_another_is_found_at_every_moment(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged between the two statements of a read: after it was asked where the id leads."""
    await sent_and_committed(rig, event(anonymous="a1"), event(anonymous="a2"))
    one, other = [profile["id"] for profile in await rig.profiles()]
    real = reads._root

    async def merged_after(connection: AsyncConnection, profile_id: str) -> str:
        root = await real(connection, profile_id)
        await merge(rig.pool, one, other, PARTITIONS)
        return root

    monkeypatch.setattr(reads, "_root", merged_after)
    engine = async_engine(rig.settings.database_url, schema=SCHEMA)
    try:
        for _ in range(2):
            assert await reads.Profiles(engine).get(one) is not None
    finally:
        await engine.dispose()


async def test_the_number_of_statements_does_not_depend_on_how_much_there_is_to_decide(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merges, refusals, suspicion and quarantine, of few and of many."""
    sent: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute", "copy_records_to_table"):
        _count_calls(monkeypatch, name, sent)
    numbers = []
    for first, people in ((0, 60), (100, 600)):
        await sent_and_committed(rig, *(event(anonymous=f"a{first + n}") for n in range(people)))
        known = [event(user=f"u{first + n}", anonymous=f"a{first + n}") for n in range(people)]
        strangers = [event(user=f"u{first + n}", anonymous=f"a{first}") for n in range(people)]
        sent.clear()
        await sent_and_committed(rig, *known, *strangers)
        numbers.append(len(sent))
    assert numbers[0] == numbers[1]
    quarantined = "SELECT count(*) FROM identifier WHERE quarantined_at IS NOT NULL"
    assert await rig.pool.fetchval(quarantined) == 2


def _count_calls(monkeypatch: pytest.MonkeyPatch, name: str, sent: list[str]) -> None:
    real = getattr(asyncpg.Connection, name)

    async def counted(self: asyncpg.Connection, *arguments: object, **options: object) -> object:
        sent.append(str(arguments[0]))
        return await real(self, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, name, counted)


async def batch(rig: Rig, q: int = 0) -> Batch:
    """What partition q of `cdp.events` holds beyond the store's position."""
    first = await rig.pool.fetchval(
        "SELECT next_offset FROM input WHERE topic = $1 AND q = $2", rig.topic(topics.EVENTS), q
    )
    records = (await rig.records(q, topics.EVENTS))[first:]
    read = event_reader(None)
    incoming = [(index, read(found)) for index, found in enumerate(records)]
    return Batch(rig.topic(topics.EVENTS), q, first, [found.time for found in records], incoming)


async def commit(rig: Rig) -> Committed:
    return await commit_batch(rig.pool, await batch(rig), PARTITIONS)


async def sent_and_committed(rig: Rig, *events: Event) -> None:
    await rig.send(*events, q=0)
    await commit(rig)


async def meanwhile(rig: Rig, change: Callable[[Connection], Awaitable[None]], late: Event) -> None:
    """Commit `late`, which finds its identifier and then waits for its profile, while `change` happens."""
    await rig.send(late, q=0)
    async with rig.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM profile FOR UPDATE")
        committing = asyncio.create_task(commit(rig))
        await eventually(lambda: waiting(rig, 1))
        await change(connection)
    await committing


async def waiting(rig: Rig, number: int) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return int(await rig.pool.fetchval(query)) == number


async def sightings(rig: Rig) -> set[tuple[int, int]]:
    return {tuple(row) for row in await rig.pool.fetch("SELECT first_seen, last_seen FROM identifier")}
