"""The sizing model of docs/capacity.md, held against a small load of other proportions than it was made with: the
services' own loops on a real Postgres and a real Redis. What whole processes cost, and Kafka's other topics, is
measured by hand (`make bench ARGS=capacity`)."""

import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from headrace.runtime.migrations import migrate
from services.profiles.input import READ_RECORDS
from services.profiles.store import MIGRATIONS, SCHEMA, TimelineOutbox, connect, initialise
from services.segmenter import keys
from services.segmenter.redis_client import connect as connect_redis
from tests.bench import stored
from tests.bench.bench_profiles import PARTITIONS, TOPIC, apply, records
from tests.bench.bench_segmenter import Q, catalog_of, contender, event_rows, fold
from tests.bench.capacity_model import Load, costs
from tests.bench.segments import definitions
from tests.bench.workload import Shop

EVENTS = 4_000
CUSTOMERS = 500
SEGMENTS = 45
NEAR = pytest.approx(1, abs=0.35)
"""How a measured size may stand to the predicted one."""
RECORD_BYTES, BATCH_BYTES = 12, 61
"""What a record, and a batch, has in Kafka beside its key, value and headers: lengths and differences, a head."""


class ChattyShop(Shop):
    """Its events are larger than those that the model was made with."""

    def call(self) -> dict[str, Any]:
        call = super().call()
        return call | {"context": call["context"] | {"note": "x" * 250}}


def event_bytes() -> int:
    shop = ChattyShop(CUSTOMERS)
    return sum(len(msgspec.json.encode(shop.call())) for _ in range(EVENTS)) // EVENTS


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    await migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS)
    async with await connect(database_url, max_size=12) as pool:
        await initialise(pool, [TOPIC], PARTITIONS)
        yield pool


async def sizes(pool: "asyncpg.Pool[asyncpg.Record]") -> dict[str, int]:
    async with pool.acquire() as connection:
        return {name: table.whole for name, table in (await stored.postgres(connection)).items()}


async def published_bytes(pool: "asyncpg.Pool[asyncpg.Record]") -> int:
    """Of the topic of profile events, were it published now in batches as the relay has them."""
    size = 0
    for q in range(PARTITIONS):
        rows = await TimelineOutbox(pool).pending(q, 0, EVENTS)
        size += sum(row.record.size() + RECORD_BYTES + sum(2 for _ in row.record.headers) for row in rows)
        size += BATCH_BYTES * (len(rows) // READ_RECORDS + 1)
    return size


async def test_postgres_and_the_timelines_topic_grow_as_predicted(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    before = await sizes(pool)
    await apply(pool, records(EVENTS, shop=ChattyShop(CUSTOMERS)))

    grown = {name: size - before[name] for name, size in (await sizes(pool)).items()}
    customers = await pool.fetchval("SELECT count(*) FROM profile WHERE merged_into IS NULL")
    identifiers = await pool.fetchval("SELECT count(*) FROM identifier")
    model = costs(Load(event_bytes=event_bytes(), customers=customers, identifiers=identifiers / customers))
    found = {
        "postgres profiles.timeline": grown["profiles.timeline"] / EVENTS,
        "postgres profiles.seen": grown["profiles.seen"] / EVENTS,
        "postgres profiles.profile": grown["profiles.profile"] / customers,
        "postgres profiles.identifier": grown["profiles.identifier"] / customers,
        "kafka cdp.profile-events.v1": await published_bytes(pool) / EVENTS,
    }
    assert {name: size / model[name].value for name, size in found.items()} == dict.fromkeys(found, NEAR)


async def test_redis_grows_as_predicted(redis_url: str) -> None:
    redis = connect_redis(redis_url, retries=0)
    one = await contender(redis, os.getpid(), Q, catalog_of(definitions(SEGMENTS)))
    await fold(one.partition, [msgspec.json.encode(row) for row in event_rows(EVENTS, CUSTOMERS)])
    customers = int(await redis.hlen(keys.customers(Q)))
    await redis.aclose()

    found, members = stored.state(redis_url), stored.memberships(redis_url)
    model = costs(Load(customers=customers, segments=SEGMENTS, memberships=members / customers))
    assert found["customers"] / customers / model["redis customers"].value == NEAR
    # Redis packs what is small: of a large deployment nothing is, and the model speaks of those
    assert 0 < found["members"] / members <= 1.5 * model["redis members"].value
    assert 0 < found["deadlines"] / customers <= 1.5 * model["redis deadlines"].value
