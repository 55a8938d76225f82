"""How long the cut points of a population take to compute, beside reading and parsing the same rows alone.

    python -m tests.bench.bench_rfm [--events 1000000] [--json FILE]

Rows are made in Postgres: orders with a cart and a context as SDKs send them, of a tenth as many customers, some
merged away. Postgres is the embedded one; it does not fsync.
"""

import asyncio
import time
from argparse import Namespace
from collections.abc import Sequence

import asyncpg

from headrace.contracts.segment_conditions import RfmTest
from headrace.runtime.migrations import migrate
from headrace.runtime.postgres import connect_pool
from services.profiles.store import MIGRATIONS as PROFILES
from services.segmenter.cut_points_sql import limit, quintiles
from services.segmenter.main import MIGRATIONS, SCHEMA
from services.segmenter.populations import population_of
from tests import engines
from tests.bench.report import Figure, Report, options, present

NOW = 1_790_000_000_000
SECONDS = 600
YEAR = 365 * 86_400_000
POPULATIONS = {
    "total, for ever": {"recency": [5]},
    "total, 90 days": {"recency": [5], "within": "90d"},
    "line items, for ever": {"recency": [5], "of": "properties.products[].price"},
}
_FILL = """
    INSERT INTO profiles.timeline
        (q, seq, epoch, time, low, profile_id, kind, event, ts, source, message_id, payload)
    SELECT n % 4, n, 1, $2, $2, 'p' || md5(customer::text), 'event', 'Order Completed', at, 'shop', 'm' || n,
        format(
            '{"kind":"event","profile_id":"%s","source":"shop","message_id":"m%s","type":"track","ts":%s,'
            '"event":"Order Completed","properties":{"order_id":"o-%s","total":%s,"currency":"CZK","products":'
            '[{"product_id":"a-%s","price":%s,"quantity":1},{"product_id":"b-%s","price":19.9,"quantity":2}]},'
            '"context":{"library":{"name":"analytics.js","version":"npm:next-1.84.3"},"page":{"path":"/shop",'
            '"url":"https://shop.example/shop","title":"Shop","referrer":""},"locale":"cs-CZ",'
            '"timezone":"Europe/Prague"},"user_id":"user-%s","anonymous_id":"laptop-%s"}',
            'p' || md5(customer::text), n, at, n, (n % 9973) / 7.0, n, (n % 997) / 3.0, n, customer, customer
        )
    FROM generate_series(1, $1::int) AS n
        CROSS JOIN LATERAL (SELECT n * 2654435761 % 4294967296 / 4294967296.0 AS chance) AS a
        CROSS JOIN LATERAL (
            SELECT (power(chance, 3) * $1 / 10)::int AS customer, $2::bigint - n::bigint * 40503 % $3::bigint AS at
        ) AS b
"""
_MERGE = """
    INSERT INTO profiles.alias (profile_id, root)
    SELECT 'p' || md5(n::text), 'p' || md5((n + 1)::text) FROM generate_series(1, $1::int / 10, 20) AS n
"""
_READ = "SELECT count(as_document(payload) ->> 'event') FROM profiles.timeline_v1"


async def measure(url: str, events: int) -> Report:
    await migrate(url, schema="profiles", scripts=PROFILES)
    await migrate(url, schema=SCHEMA, scripts=MIGRATIONS)
    pool = await connect_pool(url, schema=SCHEMA)
    try:
        async with pool.acquire() as connection:
            await connection.execute("SET statement_timeout = 0")
            await connection.execute(_FILL, events, NOW, YEAR, timeout=SECONDS)
            await connection.execute(_MERGE, events)
            await connection.execute("ANALYZE")
        figures, customers = await _figures(pool)
    finally:
        await pool.close()
    return Report("rfm", f"{events:,} orders of {customers:,} customers", figures)


async def _figures(pool: "asyncpg.Pool[asyncpg.Record]") -> tuple[list[Figure], int]:
    figures, customers = [], 0
    async with pool.acquire() as connection:
        began = time.perf_counter()
        await connection.fetchval(_READ, timeout=SECONDS)
        alone = time.perf_counter() - began
    for name, test in POPULATIONS.items():
        async with pool.acquire() as connection, connection.transaction():
            await limit(connection, seconds=SECONDS, lock_seconds=SECONDS)
            began = time.perf_counter()
            found = await quintiles(connection, population_of(RfmTest.model_validate(test)), NOW, seconds=SECONDS)
            took = time.perf_counter() - began
        customers = max(customers, found.customers)
        figures.append(Figure(name, took, "s", alone, "reading and parsing all rows"))
    return figures, customers


def run(arguments: Namespace) -> Report:
    with engines.postgres() as engine:
        return asyncio.run(measure(engine.url, arguments.events))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    present(run, parser, arguments)


if __name__ == "__main__":
    main()
