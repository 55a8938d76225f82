"""The quintiles of a population, by one statement over `profiles.timeline_v1` (DESIGN §6).

Of each customer that has an event of the population: the latest `ts`, how many events, the exact sum of the
numbers under the path. Whoever was merged away counts in what it became, what was taken out again in whom
it made, an erased customer not at all.

Of n customers, cut point k (k = 1 to 4) is the value at place ceil(k n / 5) of the n values in ascending order
(the nearest rank), left out where that is place n, above which nobody is. So there are four from five customers
on, three of four customers, none of one; and of n different values each fifth gets its score: 1 + the cut points
strictly below the value.
"""

import json
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from services.segmenter.populations import Population

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_ROOTS = frozenset({"properties", "context"})
_VIEWS = frozenset({"Page Viewed", "Screen Viewed"})
_NOTHING = "$ ? (1 == 2)"
_LIMITS = """
    SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true),
        set_config('work_mem', '16MB', true), set_config('max_parallel_workers_per_gather', '0', true),
        set_config('plan_cache_mode', 'force_custom_plan', true)
"""
# `OFFSET 0`: else the payload would be parsed once for each place that looks into it. The digits: ADR 11.
_CUSTOMERS = """
    SELECT max(event.ts) AS recency, count(event.ts) AS frequency,
        trim_scale(coalesce(sum(event.amount), 0)) AS monetary
    FROM profiles.timeline_v1 line
    LEFT JOIN profiles.moved_to_v1 moved ON (moved.partition, moved.seq) = (line.partition, line.seq)
    LEFT JOIN profiles.alias_v1 alias ON alias.profile_id = coalesce(moved.profile_id, line.profile_id)
    LEFT JOIN LATERAL (
        SELECT line.ts, (
            SELECT sum(number) FROM (
                SELECT value::numeric AS number FROM jsonb_path_query(row.document, $4::text::jsonpath) AS value
            ) AS found
            WHERE (number = 0 OR abs(number) >= 1e-400)
                AND length(ltrim(translate(number::text, '-.', ''), '0')) <= 400
        ) AS amount
        FROM (SELECT as_document(line.payload) AS document OFFSET 0) AS row
        WHERE CASE row.document ->> 'type'
            WHEN 'track' THEN row.document ->> 'event'
            WHEN 'page' THEN 'Page Viewed'
            WHEN 'screen' THEN 'Screen Viewed'
        END = ANY($1)
    ) AS event ON line.kind = 'event'
    WHERE line.kind = 'erasure' OR line.kind = 'event' AND ($3::bigint IS NULL OR line.ts > $3)
        AND (line.event = ANY($1) OR $2 AND line.payload ~ '"type":"(page|screen)"')
    GROUP BY coalesce(alias.root, moved.profile_id, line.profile_id)
    HAVING NOT bool_or(line.kind = 'erasure') AND count(event.ts) > 0
"""
_AT_PLACES = """
    ARRAY(SELECT c.{of} FROM place JOIN customer c ON c.by_{of} = place.place ORDER BY place.k)
"""
_CELLS = """
    SELECT (SELECT count(*) FROM unnest(cut.recency) AS point WHERE point < c.recency) AS recency,
        (SELECT count(*) FROM unnest(cut.frequency) AS point WHERE point < c.frequency) AS frequency
    FROM customer c CROSS JOIN cut
"""
_COMPUTE = f"""
    WITH customer AS MATERIALIZED (
        SELECT recency, frequency, monetary,
            row_number() OVER (ORDER BY recency) AS by_recency,
            row_number() OVER (ORDER BY frequency) AS by_frequency,
            row_number() OVER (ORDER BY monetary) AS by_monetary
        FROM ({_CUSTOMERS}) AS population
    ), size AS (SELECT count(*) AS customers FROM customer),
    place AS (
        SELECT k, (k * customers + 4) / 5 AS place FROM size CROSS JOIN generate_series(1, 4) AS k
        WHERE (k * customers + 4) / 5 < customers
    ), cut AS MATERIALIZED (
        SELECT {", ".join(_AT_PLACES.format(of=of) + f" AS {of}" for of in ("recency", "frequency", "monetary"))}
    ), cell AS (SELECT recency, frequency, count(*) AS customers FROM ({_CELLS}) AS scored GROUP BY 1, 2)
    SELECT size.customers, cut.recency, cut.frequency, cut.monetary,
        ARRAY(
            SELECT coalesce(cell.customers, 0)
            FROM generate_series(0, 4) AS r CROSS JOIN generate_series(0, 4) AS f
            LEFT JOIN cell ON cell.recency = r AND cell.frequency = f
            ORDER BY r, f
        ) AS cells
    FROM size CROSS JOIN cut
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Quintiles:
    """The cut points of a population of `customers`, as `CutPoints` has them. `cells`: how many customers have
    recency score r and frequency score f, at 5 (r − 1) + f − 1."""

    customers: int
    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    monetary: tuple[str, ...]
    cells: tuple[int, ...]


async def limit(connection: Connection, *, seconds: float, lock_seconds: float) -> None:
    """Bound what the rest of this transaction takes: time for a statement, for a lock among it, and memory."""
    await connection.execute(_LIMITS, f"{seconds:g}s", f"{lock_seconds:g}s")


async def quintiles(connection: Connection, population: Population, at: int, *, seconds: float) -> Quintiles:
    """The quintiles over the events of the window that ends at `at` (milliseconds). Raises TimeoutError after so
    many seconds; the transaction's own limit should be shorter."""
    found = await connection.fetchrow(
        _COMPUTE,
        population.names,
        not _VIEWS.isdisjoint(population.names),
        None if population.within_ms is None else at - population.within_ms,
        json_path(population.of),
        timeout=seconds,
    )
    assert found is not None
    return Quintiles(
        customers=found["customers"],
        recency=tuple(found["recency"]),
        frequency=tuple(found["frequency"]),
        monetary=tuple(f"{amount:f}" for amount in found["monetary"]),
        cells=tuple(found["cells"]),
    )


def json_path(path: str) -> str:
    """The SQL/JSON path of the numbers under a condition's path, in an event row's payload.

    Strict, with a filter before each step: `lax` would go into lists that the path does not go into.
    """
    if path.split(".", 1)[0].removesuffix("[]") not in _ROOTS or "\0" in path:
        return _NOTHING
    steps = []
    for step in path.split("."):
        key = json.dumps(step.removesuffix("[]"))
        steps.append(f" ? (exists(@.{key})).{key}")
        if step.endswith("[]"):
            steps.append(' ? (@.type() == "array")[*]')
    return f'strict ${"".join(steps)} ? (@.type() == "number")'
