"""Keeps the cut points of RFM scores: computed hourly and on request, versioned, posted as control records.

A population is in use while the newest version of a segment asks for its scores. The process that has the lock
computes and, where something moved, notes the control record in the same transaction; controls.py sends it.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import asyncpg
import msgspec
import structlog

from headrace.contracts.cut_points import CONTROL, CutPoints
from headrace.contracts.errors import ApiError, InvalidDefinition
from headrace.contracts.segment import Definition, parse_segment
from headrace.runtime.metrics import Metrics
from services.segmenter.controls import Controls
from services.segmenter.cut_points_sql import Connection, Quintiles, limit, quintiles
from services.segmenter.populations import Population, populations

log = structlog.get_logger()

HOUR = 3_600_000
CHECK_SECONDS = 60.0
"""How often to look what is due without being woken: a segment may have been put in another process."""
COMPUTE_SECONDS = 300.0
PUT_SECONDS = 15.0
"""What a request to put a segment waits at most; then its cut points follow."""
LOCK_SECONDS = 5.0
_ASK_SECONDS = 10.0  # the client's own limit lies behind the server's
_KNOWN_DEFINITIONS = 4_096

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('segmenter-cut-points'))"
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('segmenter-cut-points'))"
_IN_USE = """
    SELECT s.id, v.definition FROM segment s JOIN segment_version v ON v.id = s.id AND v.version = s.version
    WHERE s.state <> 'deleted' AND v.kind <> 'trait' AND v.definition LIKE '%"rfm"%' ORDER BY s.id
"""
_PRESENT = """
    SELECT DISTINCT ON (population_id)
        population_id, version, population, at, recency, frequency, monetary, computed_at, customers, cells
    FROM cut_points WHERE population_id = ANY($1) ORDER BY population_id, version DESC
"""
_INSERT = "INSERT INTO cut_points VALUES ($1, $2, $3, $4, $5, $6, $7, $4, $8, $9)"
_STILL_SO = """
    UPDATE cut_points SET computed_at = $3, customers = $4, cells = $5 WHERE population_id = $1 AND version = $2
"""
_POST = "INSERT INTO control_request (id, kind, payload) VALUES ($1, $2, $3)"
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_POSTGRES_IS_AWAY = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CannotConnectNowError)


@dataclass(frozen=True, slots=True)
class Present:
    """A population's newest cut points. `computed_at`: when they were last found to be so (milliseconds)."""

    cuts: CutPoints
    computed_at: int
    customers: int
    cells: tuple[int, ...]


class CutPointKeeper:
    """One population is computed at a time, by all processes together. `clock` gives milliseconds."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        controls: Controls,
        metrics: Metrics,
        *,
        clock: Callable[[], int],
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._pool = pool
        self._controls = controls
        self._metrics = metrics
        self._clock = clock
        self._check_seconds = check_seconds
        self._failed_at: dict[str, int] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Compute what is due, for ever."""
        while True:
            self._wake.clear()
            try:
                await self.refresh()
            except _FAILURES as error:
                log.warning("cut_points_waiting", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_seconds):
                    await self._wake.wait()

    async def refresh(self) -> None:
        """Compute what is new or an hour old. What Postgres has refused or given up is tried again an hour later.
        Raises what says that Postgres is away."""
        wanted = await self.in_use()
        for population in wanted:
            try:
                await self._compute(population, only_due=True, wait=False)
            except _POSTGRES_IS_AWAY:
                raise
            except asyncpg.PostgresError as error:
                self._failed_at[population.id] = self._clock()
                log.error("cut_points_failed", population=population.id, error=type(error).__name__)
        ages = [self._clock() - present.computed_at for present in (await self.present(wanted)).values()]
        self._metrics.cut_points_age.set(max(ages, default=0) / 1000)

    async def prepare(self, definition: Definition) -> None:
        """Before a definition is stored: note the cut points of its populations, which then go ahead of it. Where
        that takes too long they follow."""
        for population in sorted(populations(definition), key=lambda one: one.text):
            try:
                await self._compute(population, only_due=True, wait=True, seconds=PUT_SECONDS)
            except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, TimeoutError) as error:
                log.warning("cut_points_follow", population=population.id, error=type(error).__name__)
                self._wake.set()
                return

    async def drafted(self, definition: Definition) -> dict[str, CutPoints]:
        """By population, the cut points that a definition would be scored by if it were put now: those there are,
        else computed and not kept. Raises ApiError 503 when it takes too long."""
        wanted = populations(definition)
        found = {key: present.cuts for key, present in (await self.present(wanted)).items()}
        for population in wanted:
            if population.text not in found:
                at = self._clock()
                try:
                    async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                        await limit(connection, seconds=PUT_SECONDS, lock_seconds=LOCK_SECONDS)
                        counted = await quintiles(connection, population, at, seconds=PUT_SECONDS + _ASK_SECONDS)
                except (asyncpg.QueryCanceledError, TimeoutError) as error:
                    raise _too_slow(PUT_SECONDS) from error
                points = counted.recency, counted.frequency, counted.monetary
                found[population.text] = CutPoints(population.text, 0, at, *points)
        return found

    async def compute(self, wanted: Collection[Population]) -> None:
        """Compute these now. Raises ApiError 503 when it takes too long or somebody else is at it for long."""
        for population in wanted:
            try:
                await self._compute(population, only_due=False, wait=True)
            except asyncpg.LockNotAvailableError as error:
                raise ApiError(
                    503, "busy", "Cut points are being computed; retry.", retry_after=round(LOCK_SECONDS)
                ) from error
            except (asyncpg.QueryCanceledError, TimeoutError) as error:
                raise _too_slow(COMPUTE_SECONDS) from error

    async def in_use(self) -> dict[Population, list[str]]:
        """The populations in use, each with the ids of the definitions that ask for its scores."""
        found: dict[Population, list[str]] = {}
        for segment_id, text in await self._pool.fetch(_IN_USE):
            for population in _populations_in(text):
                found.setdefault(population, []).append(segment_id)
        return dict(sorted(found.items(), key=lambda item: item[0].text))

    async def present(self, wanted: Collection[Population]) -> dict[str, Present]:
        """The newest cut points by population, without those not computed yet."""
        rows = await self._pool.fetch(_PRESENT, [population.id for population in wanted])
        return {row["population"]: _present(row) for row in rows}

    async def _compute(
        self, population: Population, *, only_due: bool, wait: bool, seconds: float = COMPUTE_SECONDS
    ) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await limit(connection, seconds=seconds, lock_seconds=LOCK_SECONDS)
            if not wait and not await connection.fetchval(_TRY_LOCK):
                return
            if wait:
                await connection.execute(_LOCK)
            row = await connection.fetchrow(_PRESENT, [population.id])
            before, at = None if row is None else _present(row), self._clock()
            if only_due and not self._is_due(population, before, at):
                return
            found = await quintiles(connection, population, at, seconds=seconds + _ASK_SECONDS)
            await _store(connection, population, before, at, found)
        self._failed_at.pop(population.id, None)
        self._controls.wake()

    def _is_due(self, population: Population, before: Present | None, now: int) -> bool:
        if now - self._failed_at.get(population.id, now - HOUR) < HOUR:
            return False
        return before is None or now - before.computed_at >= HOUR


def _too_slow(seconds: float) -> ApiError:
    message = f"It took longer than {seconds:g} s; name fewer events or a shorter window."
    return ApiError(503, "too_slow", message)


async def _store(
    connection: Connection, population: Population, before: Present | None, at: int, found: Quintiles
) -> None:
    """A new version with its control record, unless the cut points are those of the last one."""
    cuts = CutPoints(
        population.text,
        before.cuts.version + 1 if before else 1,
        at,
        found.recency,
        found.frequency,
        found.monetary,
    )
    if before is not None and _points(before.cuts) == _points(cuts):
        key = population.id, before.cuts.version
        await connection.execute(_STILL_SO, *key, at, found.customers, found.cells)
        return
    await connection.execute(
        _INSERT, population.id, cuts.version, cuts.population, at, *_points(cuts), found.customers, found.cells
    )
    payload = msgspec.json.encode(cuts).decode()
    await connection.execute(_POST, f"{CONTROL}:{population.id}:{cuts.version}", CONTROL, payload)
    log.info("cut_points", population=population.id, version=cuts.version, customers=found.customers)


def _points(cuts: CutPoints) -> tuple[Sequence[int], Sequence[int], Sequence[str]]:
    return cuts.recency, cuts.frequency, cuts.monetary


def _present(row: asyncpg.Record) -> Present:
    cuts = CutPoints(
        row["population"],
        row["version"],
        row["at"],
        tuple(row["recency"]),
        tuple(row["frequency"]),
        tuple(row["monetary"]),
    )
    return Present(cuts, row["computed_at"], row["customers"], tuple(row["cells"]))


@lru_cache(maxsize=_KNOWN_DEFINITIONS)
def _populations_in(text: str) -> frozenset[Population]:
    """Of a stored definition. Cached: they are looked at every minute."""
    try:
        return frozenset(populations(parse_segment(msgspec.json.decode(text))))
    except InvalidDefinition as error:
        # where, not what: a definition may name a person
        log.error("definition_unreadable", at=[problem.path for problem in error.problems])
        return frozenset()
