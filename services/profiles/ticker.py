"""Time passes also where nothing happens: idle inputs follow Postgres' clock, ticks tell it (DESIGN §4.4)."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import asyncpg
import msgspec
import structlog

from headrace.contracts.headers import cloud_event, store_output
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import Tick
from headrace.log.port import Log, LogUnavailable, NewRecord
from headrace.runtime.metrics import Metrics
from headrace.runtime.publisher import Published, Relay
from headrace.runtime.tasks import finish
from services.profiles.input import Input
from services.profiles.store import SERVICE

log = structlog.get_logger()

MAX_SKEW_MS = 2_000
"""A worker whose clock differs from Postgres' by more than this publishes no tick."""

CARRIED_SECONDS = 1.0
"""How long Postgres' clock is carried on by our monotonic one before it is asked again."""

_CLOCK = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_BEAT = """
    WITH idle AS (
        SELECT i.topic, i.q FROM input i
        JOIN unnest($3::text[], $4::int[], $5::bigint[]) AS t (topic, q, next_offset)
            ON i.topic = t.topic AND i.q = t.q AND i.next_offset = t.next_offset
        ORDER BY i.topic, i.q FOR UPDATE OF i SKIP LOCKED
    ),
    passed AS (
        UPDATE input SET time = greatest(time, $6) FROM idle
        WHERE input.topic = idle.topic AND input.q = idle.q RETURNING input.topic, input.q, input.time
    ),
    inputs AS (
        SELECT min(coalesce(passed.time, input.time)) AS low FROM input LEFT JOIN passed USING (topic, q)
    ),
    behind AS (
        SELECT c.q FROM counter c, inputs WHERE c.q = ANY($1::int[]) AND c.low < inputs.low
        ORDER BY c.q FOR UPDATE OF c SKIP LOCKED
    ),
    raised AS (
        UPDATE counter SET
            low = greatest(counter.low, inputs.low),
            published_offset = greatest(published_offset, coalesce(
                (SELECT p.next_offset FROM unnest($1::int[], $2::bigint[]) AS p (q, next_offset)
                 WHERE p.q = counter.q), 0))
        FROM behind, inputs WHERE counter.q = behind.q
        RETURNING counter.q, counter.epoch, counter.next_seq - 1 AS seq, counter.low
    )
    SELECT c.q, coalesce(raised.epoch, c.epoch) AS epoch, coalesce(raised.seq, c.next_seq - 1) AS seq, raised.low,
        floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock
    FROM counter c LEFT JOIN raised USING (q) WHERE c.q = ANY($1::int[])
"""
"""Raises the idle inputs, then the lows of the counters that are behind them, in one statement and so in one
transaction. An input that somebody works on counts with the time it had before: too low, never too high. A counter
whose low was not raised comes without one."""


@dataclass(frozen=True, slots=True)
class Active:
    """A partition that this process works on now."""

    inputs: tuple[Input, ...]
    relay: Relay


class PostgresClock:
    """Postgres' clock, never ahead of it: as last told, and carried on by our monotonic clock for a moment. The
    reply came after the clock was read, and one millisecond is more than clocks drift apart in a second."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: tuple[Millis, float] | None = None

    def told(self, clock: Millis) -> None:
        """A reply says what the clock was."""
        self._told = clock, self._monotonic()

    def now(self) -> Millis | None:
        """None when it was told too long ago."""
        if self._told is None:
            return None
        clock, at = self._told
        since = self._monotonic() - at
        return clock + int(1000 * since) - 1 if since <= CARRIED_SECONDS else None


class Ticker:
    """Beats for all partitions of the process together: one look at every input's end, one statement."""

    def __init__(
        self,
        log: Log,
        pool: asyncpg.Pool,
        active: Mapping[int, Active],
        metrics: Metrics,
        *,
        output: str,
        interval: float,
        wall_clock: Callable[[], Millis],
    ) -> None:
        self._log = log
        self._pool = pool
        self._active = active
        self._metrics = metrics
        self._output = output
        self._interval = interval
        self._wall_clock = wall_clock
        self._clock = PostgresClock()
        self._outbox: dict[int, int] = {}

    async def run(self) -> None:
        """Beat for ever. An engine that does not answer costs beats, not the process."""
        while True:
            try:
                await self.beat()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, LogUnavailable) as error:
                log.warning("beat_failed", error=type(error).__name__)
            await asyncio.sleep(self._interval)

    async def beat(self) -> None:
        """Raise what is idle, store the new lows, then hand the ticks to the relays."""
        active = dict(self._active)
        self._outbox = {q: behind for q, behind in self._outbox.items() if q in active}
        if not active:
            return
        before = self._wall_clock()
        clock = self._clock.now()
        if clock is None:
            clock = int(await self._pool.fetchval(_CLOCK))
        skewed = not before - MAX_SKEW_MS <= clock <= self._wall_clock() + MAX_SKEW_MS
        self._metrics.clock_skew.set((clock - before) / 1000)
        ended = await self._ended([one for partition in active.values() for one in partition.inputs])
        if skewed:
            log.error("clock_skew", limit_ms=MAX_SKEW_MS)
            return
        rows = await finish(self._raise(active, ended, clock))
        for row in rows:
            self._clock.told(row["clock"])
            self._tell(row, active[row["q"]].relay)

    def _tell(self, row: asyncpg.Record, relay: Relay) -> None:
        """Hand the relay its tick, or wake it for rows that another process has committed."""
        q, seq = row["q"], row["seq"]
        behind = seq - relay.published.seq if relay.published is not None else 0
        if relay.published is not None:
            self._show_outbox(q, max(0, behind))
        if row["low"] is not None:
            tick = Tick(seq=seq, epoch=row["epoch"], low=row["low"])
            relay.follow(seq, _record(q, tick))
            self._metrics.ticks.inc()
        elif behind > 0:
            relay.wake()

    async def _ended(self, inputs: list[Input]) -> list[tuple[str, int, int]]:
        """The inputs that were read to their end, with the offset, by a look that comes now."""
        offsets = [one.idle_at for one in inputs]
        bounds = await asyncio.gather(*(self._log.bounds(one.topic, one.q) for one in inputs))
        ended = []
        for one, offset, bound in zip(inputs, offsets, bounds, strict=True):
            if offset is not None and offset == bound.end:
                ended.append((one.topic, one.q, offset))
        return ended

    def _show_outbox(self, q: int, behind: int) -> None:
        """Only what changes: finding a gauge by its labels costs more than all the rest."""
        if self._outbox.get(q) != behind:
            self._outbox[q] = behind
            self._metrics.outbox.labels(self._output, q).set(behind)

    async def _raise(
        self, active: Mapping[int, Active], ended: list[tuple[str, int, int]], clock: Millis
    ) -> list[asyncpg.Record]:
        """A row for each of our counters. One statement: cut in the middle, it has done nothing."""
        offsets = [_offset(one.relay.published) for one in active.values()]
        topics, partitions, ends = zip(*ended, strict=True) if ended else ((), (), ())
        return await self._pool.fetch(_BEAT, list(active), offsets, topics, partitions, ends, clock)


def _offset(published: Published | None) -> int:
    return published.next_offset if published is not None else 0


def _record(q: int, tick: Tick) -> NewRecord:
    headers = cloud_event(
        kind="profile.tick.v1", event_id=f"{tick.epoch}-{q}-{tick.seq}-{tick.low}", source=SERVICE
    )
    position = str(tick.seq) if tick.seq else ""
    numbers = store_output(source=SERVICE, epoch=tick.epoch, seq=tick.seq, position=position)
    return NewRecord(None, msgspec.json.encode(tick), headers + numbers)
