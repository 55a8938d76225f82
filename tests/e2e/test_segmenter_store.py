"""The port of the segmenter's store, on Redis and on the tests' own store in memory: one suite."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.exceptions import OutOfMemoryError

from services.segmenter import keys
from services.segmenter.catalog import Catalog, Slot, Version
from services.segmenter.change import Occasion, Person, Transition
from services.segmenter.commit import Commit, Fenced, Output, StateStore, Watermark
from services.segmenter.customer import Customer
from services.segmenter.eviction import StateEvicted, UnsafeEviction, require_noeviction, watch_eviction
from services.segmenter.members import Members
from services.segmenter.redis_client import Client, StoreUnavailable, connect
from services.segmenter.store import RedisStore
from tests import engines
from tests.unit.segmenter.memory import MemoryStore

Q = 3
START = Watermark(epoch=1)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Client]:
    client = connect(redis_url, retries=0)
    yield client
    await client.aclose()


@pytest.fixture(params=["redis", "memory"])
def store(request: pytest.FixtureRequest, redis: Client) -> StateStore:
    return RedisStore(redis, redis) if request.param == "redis" else MemoryStore()


async def test_a_partition_never_set_up_is_none(store: StateStore) -> None:
    assert await store.load(Q) is None


async def test_a_commit_is_read_back(store: StateStore) -> None:
    await store.reset(Q, START)
    mark = Watermark(epoch=1, seq=4, now=9, ready={"b": 2, "a": 1})
    catalog = Catalog({"s": Slot(pending=Version(1, "{}"))})
    await store.commit(Q, START, Commit(mark, {"p2": due_at(7), "p1": Customer(user_id="u")}, catalog=catalog))
    assert await store.load(Q) == (mark, catalog)
    assert await store.profile_ids(Q) == ["p1", "p2"]
    assert await store.customers(Q, ["p1", "p9"]) == {"p1": Customer(user_id="u")}


async def test_a_commit_that_expects_another_watermark_writes_nothing(store: StateStore) -> None:
    await store.reset(Q, START)
    first, second = Watermark(epoch=1, seq=1), Watermark(epoch=1, seq=2)
    await store.commit(Q, START, Commit(first, {"p1": Customer()}))
    with pytest.raises(Fenced):
        await store.commit(Q, START, Commit(second, {"p2": Customer()}))
    assert await store.profile_ids(Q) == ["p1"]
    assert (await store.load(Q) or (None,))[0] == first


async def test_the_same_commit_twice_is_one(store: StateStore) -> None:
    await store.reset(Q, START)
    commit = Commit(
        Watermark(epoch=1, seq=1, out_seq=1), {"p1": Customer()}, [entered("p1")], [Output(1, entered("p1"))]
    )
    await store.commit(Q, START, commit)
    await store.commit(Q, START, commit)
    assert await store.profile_ids(Q) == ["p1"]


async def test_deadlines_come_in_the_order_of_instant_and_profile(store: StateStore) -> None:
    await store.reset(Q, START)
    due = {"p3": 20, "p1": 30, "p2": 20, "p4": 0, "p5": 10}
    await store.commit(Q, START, Commit(Watermark(seq=1), {key: due_at(at) for key, at in due.items()}))
    assert await store.due(Q, 25, 10) == [(10, "p5"), (20, "p2"), (20, "p3")]
    assert await store.due(Q, 99, 2) == [(10, "p5"), (20, "p2")]
    await store.commit(Q, Watermark(seq=1), Commit(Watermark(seq=2), {"p5": None, "p2": Customer()}))
    assert await store.due(Q, 99, 10) == [(20, "p3"), (30, "p1")]
    assert await store.profile_ids(Q) == ["p1", "p2", "p3", "p4"]


async def test_more_customers_than_one_command_takes(store: StateStore) -> None:
    await store.reset(Q, START)
    many = {f"p{number:05}": due_at(number) for number in range(1, 2_500)}
    await store.commit(Q, START, Commit(Watermark(seq=1), many))
    assert await store.profile_ids(Q) == sorted(many)
    assert len(await store.due(Q, 5_000, 5_000)) == len(many)


async def test_a_reset_forgets_everything(store: StateStore) -> None:
    await store.reset(Q, START)
    await store.commit(Q, START, Commit(Watermark(seq=1), {"p1": due_at(1)}, catalog=Catalog({"s": Slot()})))
    await store.reset(Q, START)
    assert await store.load(Q) == (START, Catalog())
    assert await store.profile_ids(Q) == []
    assert await store.due(Q, 99, 10) == []


async def test_customers_of_another_format_are_noticed_and_never_read(redis: Client) -> None:
    """A store written by another release: nothing of it is taken, and a rebuild replaces it."""
    store = RedisStore(redis, redis)
    await redis.set(keys.mark(Q), '{"epoch":1,"seq":9}')
    await redis.hset(keys.customers(Q), "p1", b"\xc1 of another format")
    assert await store.load(Q) is None
    assert await Members(redis, Q + 1).snapshot(Q, ["p1"]) is None
    await store.reset(Q, START)
    assert await store.load(Q) == (START, Catalog())
    assert await store.profile_ids(Q) == []


async def test_a_wrong_type_anywhere_writes_nothing(redis: Client) -> None:
    store = RedisStore(redis, redis)
    await store.reset(Q, START)
    await redis.set(keys.outbox(Q, 1), "not a stream")
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await store.commit(Q, START, Commit(Watermark(epoch=1, seq=1), {"p1": Customer()}))
    assert await store.profile_ids(Q) == []
    assert await store.load(Q) == (START, Catalog())


async def test_a_commit_whose_reply_is_lost_has_happened_once(redis: Client, redis_url: str) -> None:
    async with deaf_proxy(redis_url) as (url, deafen):
        writer = connect(url, retries=0)
        store = RedisStore(redis, writer)
        await store.reset(Q, START)
        await store.commit(Q, START, Commit(Watermark(epoch=1, seq=1)))
        deafen.set()
        mark = Watermark(epoch=1, seq=2, out_seq=1)
        await store.commit(
            Q, Watermark(epoch=1, seq=1), Commit(mark, {}, [entered("p1")], [Output(1, entered("p1"))])
        )
        assert await store.load(Q) == (mark, Catalog())
        assert await redis.xlen(keys.outbox(Q, 1)) == 1
        await writer.aclose()


async def test_a_commit_that_never_arrived_is_no_success(redis: Client, redis_url: str) -> None:
    writer = connect(redis_url.replace(str(urlsplit(redis_url).port), "1"), retries=0)
    store = RedisStore(redis, writer)
    await RedisStore(redis, redis).reset(Q, START)
    with pytest.raises(StoreUnavailable):
        await store.commit(Q, START, Commit(Watermark(epoch=1, seq=1)))
    assert (await store.load(Q) or (None,))[0] == START
    await writer.aclose()


async def test_a_server_that_may_evict_is_refused(redis: Client) -> None:
    await require_noeviction(redis)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnsafeEviction, match="noeviction"):
            await require_noeviction(redis)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_a_server_that_is_set_to_evict_at_run_time_ends_the_watch(redis: Client) -> None:
    watch = asyncio.create_task(watch_eviction(redis, every=0.01))
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnsafeEviction, match="allkeys-lru"):
            await asyncio.wait_for(watch, 20)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_a_server_that_has_evicted_is_refused_until_it_is_emptied() -> None:
    with engines.valkey() as server:
        client = connect(server.url, retries=0)
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.set("state", "kept")
        await client.config_set("maxmemory", 1)
        with suppress(OutOfMemoryError):
            await client.set("more", "x")
        await client.config_set("maxmemory", 0)
        await client.config_set("maxmemory-policy", "noeviction")

        with pytest.raises(StateEvicted, match="FLUSHDB"):
            await require_noeviction(client)
        await client.config_resetstat()
        await require_noeviction(client)
        await client.aclose()


def due_at(instant: int) -> Customer:
    customer = Customer()
    customer.arm({"journal": instant})
    return customer


def entered(profile: str) -> Transition:
    occasion = Occasion(profile, "event", at=1, cause_message_id="m0", row_seq=1, seq=1, now=1, person=Person())
    return Transition(
        occasion,
        segment_id="s",
        segment_name="S",
        version=1,
        action="entered",
        entry_id="e1",
        message_id="m1",
        sequence=1,
        step=1,
    )


@asynccontextmanager
async def deaf_proxy(redis_url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A proxy before Redis that, once told, cuts the connection instead of handing on a reply."""
    parts = urlsplit(redis_url)
    deaf = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        with suppress(ConnectionError):
            await asyncio.gather(_pump(reader, up_writer, None), _pump(up_reader, writer, deaf))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = f":{parts.password}@127.0.0.1:{port}" if parts.password else f"127.0.0.1:{port}"
    try:
        yield urlunsplit(parts._replace(netloc=netloc)), deaf
    finally:
        server.close()
        await server.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event | None) -> None:
    try:
        while (data := await reader.read(65_536)) and not (deaf is not None and deaf.is_set()):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
