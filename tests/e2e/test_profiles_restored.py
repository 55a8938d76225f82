"""A profile service whose Postgres was restored: nothing that the log has is lost, and who was erased stays so."""

import itertools
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.ids import profile_id
from headrace.contracts.profile_event import ErasureRow, EventRow
from headrace.contracts.topics import EVENTS, PROFILE_EVENTS, partition_of
from services.profiles.erasing_again import ErasingAgain
from tests.backup import Backup
from tests.e2e.profiles_rig import PARTITIONS, SUPPRESSOR, Rig, event, eventually, profiles_rig


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


def erasing_again(rig: Rig) -> ErasingAgain:
    topics = rig.topic(EVENTS), rig.topic(PROFILE_EVENTS)
    return ErasingAgain(
        rig.pool,
        rig.log,
        SUPPRESSOR,
        events=topics[0],
        output=topics[1],
        partitions=PARTITIONS,
        on_erased=lambda: None,
    )


async def test_events_and_outcomes_since_the_backup_are_read_again(rig: Rig, database_url: str) -> None:
    """An outcome waits for the event that makes its customer, though another partition has that one."""
    backup = Backup(database_url, "profiles")
    async with rig.worker():
        await rig.send(event(user="u0"))
        await rig.processed()
        await backup.take()
        made = next(
            made
            for made in (event(user=f"u{number}") for number in itertools.count(1))
            if events_at(made.user_id or "") != partition_of(profile_id(made.source, made.message_id), PARTITIONS)
        )
        who = profile_id(made.source, made.message_id)
        await rig.send(made)
        await rig.processed()
        await rig.send_outcome(profile_id=who, outcome="accepted")
        await rig.processed()
    await backup.restore()

    async with rig.worker(owns=[partition_of(who, PARTITIONS)]):
        await eventually(lambda: idle_beyond_the_restore(rig, partition_of(who, PARTITIONS)))
        assert await names(rig, who) == []
        async with rig.worker(owns=[events_at(made.user_id or "")]):
            await rig.processed()
            await eventually(lambda: has_names(rig, who, 2))

    assert await names(rig, who) == [made.event, "SMS Sent"]
    epochs = await rig.pool.fetch("SELECT epoch, count(*) FROM timeline GROUP BY epoch ORDER BY epoch")
    assert [row["count"] for row in epochs] == [1, 2]
    published = [row for row in await rig.rows() if isinstance(row, EventRow) and row.epoch == epochs[1]["epoch"]]
    assert [row.profile_id for row in published] == [who, who]


def events_at(user: str) -> int:
    return partition_of(user, PARTITIONS)


async def idle_beyond_the_restore(rig: Rig, q: int) -> bool:
    """The partition's events are read to their end, and its clock follows Postgres'."""
    query = "SELECT time > restored_at FROM input, deployment WHERE topic = $1 AND q = $2"
    return bool(await rig.pool.fetchval(query, rig.topic(EVENTS), q))


async def names(rig: Rig, who: str) -> list[str]:
    rows = await rig.pool.fetch("SELECT event FROM timeline WHERE profile_id = $1 ORDER BY seq", who)
    return [row["event"] for row in rows]


async def has_names(rig: Rig, who: str, count: int) -> bool:
    return len(await names(rig, who)) == count


async def test_who_was_erased_since_the_backup_is_erased_again(rig: Rig, database_url: str) -> None:
    """One whom the backup has, before anything is read; and one who comes back with the events since."""
    backup = Backup(database_url, "profiles")
    async with rig.worker() as worker, rig.api(worker) as api:
        await rig.send(event(user="known"), event(user="kept"))
        await rig.processed()
        await backup.take()
        await rig.send(event(user="new"))
        await rig.processed()
        people = {one["user_id"]: one["id"] for one in await rig.profiles()}
        for user in ("known", "new"):
            assert (await api.delete(f"/v1/profiles/{people[user]}")).json() == {"success": True}
        await rig.processed()
    await backup.restore()

    assert {one["user_id"] for one in await rig.profiles()} == {"known", "kept"}
    again = erasing_again(rig)
    await again.read()
    assert await again.erase_all() == 1
    assert [one["id"] for one in await rig.profiles()] == [people["kept"]]
    async with rig.worker():
        await rig.processed()
        assert await again.erase_all() == 0
        await rig.processed()
    assert [one["id"] for one in await rig.profiles()] == [people["kept"]]
    erased = [row.profile_id for row in await rig.rows() if isinstance(row, ErasureRow) and row.epoch > 1]
    assert sorted(erased) == sorted([people["known"], people["new"]])
    await again.read()
    assert await rig.pool.fetchval("SELECT count(*) FROM erase_again WHERE done_at IS NULL") == 0
