"""The users of Redis that the settings page names: what the services do passes with exactly these rights."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest
import redis as sync_redis

from headrace.log.port import NewRecord
from headrace.log.redis_streams import RedisStreamsLog
from headrace.log.topics import ensure_topics
from headrace.runtime.rate.bucket import Rate
from headrace.runtime.rate.buckets import Lease, RedisBuckets
from services.segmenter.redis_client import connect
from tests.conformance.log_engine import eventually
from tests.e2e.segmenter_rig import Rig, segmenter_rig
from tests.e2e.test_segmenter import (
    test_a_merge_joins_two_histories_across_partitions,
    test_an_edit_publishes_the_differences_and_a_delete_the_exits,
    test_an_event_becomes_a_membership_and_a_published_change,
)
from tests.e2e.test_segmenter_store import (
    store,
    test_a_commit_is_read_back,
    test_a_reset_forgets_everything,
    test_deadlines_come_in_the_order_of_instant_and_profile,
)
from tests.unit.repository.tree import ROOT

__all__ = [
    "store",
    "test_a_commit_is_read_back",
    "test_a_merge_joins_two_histories_across_partitions",
    "test_a_reset_forgets_everything",
    "test_an_edit_publishes_the_differences_and_a_delete_the_exits",
    "test_an_event_becomes_a_membership_and_a_published_change",
    "test_deadlines_come_in_the_order_of_instant_and_profile",
]

USERS = re.findall(r"^    user (headrace-\w+) (on .*)$", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
DANGEROUS = (
    *("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1", "DEBUG OBJECT x", "SHUTDOWN", "SAVE", "BGSAVE"),
    *(
        "REPLICAOF NO ONE",
        "ACL LIST",
        "MODULE LIST",
        "CLIENT LIST",
        "MONITOR",
        "FUNCTION LIST",
        "SWAPDB 0 1",
    ),
    *(
        "GET other",
        "SET other 1",
        "DEL other",
        "MIGRATE h 1 k 0 1",
        "SCRIPT FLUSH",
        "DUMP x",
        "RANDOMKEY",
        "SORT x",
    ),
)


@pytest.fixture
def user_url(redis_server_url: str) -> Iterator[Callable[[str], str]]:
    """The URL of a user as the page has it, made on the test's server, for a database of it."""
    parts = urlsplit(redis_server_url)
    with sync_redis.Redis.from_url(redis_server_url) as admin:
        for name, rules in USERS:
            admin.execute_command("ACL", "SETUSER", name, "reset", *rules.split())
        yield (
            lambda name: (
                f"redis://{name}:{name.removeprefix('headrace-').upper()}@{parts.hostname}:{parts.port}{parts.path}"
            )
        )
        admin.execute_command("ACL", "DELUSER", *(name for name, _ in USERS))


@pytest.fixture
def redis_url(redis_url: str, user_url: Callable[[str], str]) -> str:
    """In place of the URL that the imported tests use: the segmenter's user, on the same database."""
    return user_url("headrace-state").rpartition("/")[0] + urlsplit(redis_url).path


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[object]:
    client = connect(redis_url, retries=0)
    yield client
    await client.aclose()


@pytest.fixture
async def rig(database_url: str, redis_url: str, log_url: str, topic_prefix: str) -> AsyncIterator[Rig]:
    async with segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as made:
        yield made


def test_the_page_names_three_users() -> None:
    assert [name for name, _ in USERS] == ["headrace-state", "headrace-rates", "headrace-log"]


@pytest.mark.parametrize("name", ["headrace-state", "headrace-rates", "headrace-log"])
def test_nobody_can_do_harm(user_url: Callable[[str], str], redis_server_url: str, name: str) -> None:
    with sync_redis.Redis.from_url(user_url(name)) as client:
        assert client.ping()
    with sync_redis.Redis.from_url(redis_server_url) as admin:
        allowed = [
            command
            for command in DANGEROUS
            if admin.execute_command("ACL", "DRYRUN", name, *command.split()) == b"OK"
        ]
    assert allowed == []


async def test_rates_are_leased_by_either_user(user_url: Callable[[str], str]) -> None:
    for name in ("headrace-rates", "headrace-state"):
        buckets = RedisBuckets(user_url(name), prefix="shop.")
        assert (await buckets.lease([Lease("address", name, Rate(1.0, 5), 2)]))[0].tokens == 2
        await buckets.close()


async def test_the_log_works(user_url: Callable[[str], str]) -> None:
    """Append, read, join, commit, erase and trim; on the server of the state, which is another in production."""
    log = await RedisStreamsLog.connect(user_url("headrace-log"), rollback_horizon_ms=0, housekeeping_seconds=None)
    try:
        await ensure_topics(log, prefix="acl-", partitions=2)
        topic = "acl-cdp.events.v1"
        await log.append(topic, 0, [NewRecord(b"k", b"v", ())])
        assert len(await log.read(topic, 0, 0, wait_ms=1000)) == 1
        member = await log.join("acl-group", [topic], 2)
        await eventually(lambda: member.assigned() == frozenset({0, 1}))
        await member.commit(topic, 0, 1)
        await member.leave()
        assert await log.erase(topic, 0, [0])
        await log.trim()
    finally:
        await log.close()
