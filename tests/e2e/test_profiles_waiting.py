"""The id of a merged profile becomes another's while somebody waits to work on the one that it led to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from services.profiles.components import without_identifier
from services.profiles.erasure import erase
from services.profiles.merging import Merge, merge
from services.profiles.parting import Asked, lock_customer, write_parts
from tests.e2e.profiles_rig import T0, Rig, event, eventually, profiles_rig

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def rig(database_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        yield rig


async def known(rig: Rig, *cookies: str) -> list[str]:
    """Their profiles' ids."""
    async with rig.worker():
        for number, cookie in enumerate(cookies):
            await rig.send(event(anonymous=cookie, name=f"{cookie} looks", at=T0 + number))
        await rig.processed()
    rows = await rig.pool.fetch("SELECT value, profile_id FROM identifier")
    found = {row["value"]: row["profile_id"] for row in rows}
    return [found[cookie] for cookie in cookies]


async def taken_out_meanwhile(rig: Rig, root: str, cookie: str, waiting: Awaitable[Any]) -> Any:
    """What `waiting` answers, which looks where an id leads before `cookie` is taken out, and locks after it."""
    async with rig.pool.acquire() as connection, connection.transaction():
        customer = await lock_customer(connection, root)
        assert customer is not None
        task = asyncio.ensure_future(waiting)
        await eventually(lambda: somebody_waits(rig))
        out = ("anonymous_id", cookie)
        part = without_identifier(out, customer.owners, customer.evidence(), lambda one: (one == out, one))
        asked = Asked("r1", {}, len(rig.partitions))
        await write_parts(connection, customer, [("made", part)], asked, remember=True)
    return await task


async def somebody_waits(rig: Rig) -> bool:
    return bool(await rig.pool.fetchval(_WAITING))


async def test_who_is_erased_is_whom_the_id_stands_for(rig: Rig) -> None:
    ann, bob = await known(rig, "ann", "bob")
    assert await merge(rig.pool, bob, ann, len(rig.partitions)) is Merge.DONE
    assert await taken_out_meanwhile(rig, ann, "bob", erase(rig.pool, bob, len(rig.partitions)))
    erased = {row["id"] for row in await rig.pool.fetch("SELECT id FROM profile WHERE erased")}
    assert erased == {"made", bob}


async def test_who_is_merged_is_whom_the_id_stands_for(rig: Rig) -> None:
    ann, bob, cid = await known(rig, "ann", "bob", "cid")
    assert await merge(rig.pool, bob, ann, len(rig.partitions)) is Merge.DONE
    waiting = merge(rig.pool, bob, cid, len(rig.partitions))
    assert await taken_out_meanwhile(rig, ann, "bob", waiting) is Merge.DONE
    merged = {row["profile_id"]: row["root"] for row in await rig.pool.fetch("SELECT profile_id, root FROM alias")}
    assert merged == {bob: cid, "made": cid}


async def test_an_outcome_is_whose_the_message_was(rig: Rig) -> None:
    ann, bob = await known(rig, "ann", "bob")
    assert await merge(rig.pool, bob, ann, len(rig.partitions)) is Merge.DONE
    await rig.send_outcome(profile_id=bob, outcome="delivered", at=T0 + 5)
    async with rig.worker():
        await taken_out_meanwhile(rig, ann, "bob", rig.processed())
    rows = await rig.pool.fetch("SELECT profile_id FROM timeline WHERE event = 'SMS Delivered'")
    assert [row["profile_id"] for row in rows] == ["made"]
