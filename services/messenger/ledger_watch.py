"""Watches what waits in the ledger: messages that are due, journeys, messages of which nobody knows the fate."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import Gauge

from headrace.contracts.instant import Millis
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import look_again
from services.messenger.store import Pool

LOOK_SECONDS = 15.0


class LedgerWatch:
    """One per process; all of them say the same. `clock` gives milliseconds since the epoch."""

    def __init__(self, pool: Pool, metrics: Metrics, *, clock: Callable[[], Millis]) -> None:
        self._pool = pool
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Look every fifteen seconds until cancelled."""
        await look_again(self.look, LOOK_SECONDS, "ledger_not_looked_at")

    async def look(self) -> None:
        """Four statements, each on an index of what waits."""
        now, metrics = self._clock(), self._metrics
        metrics.clock_skew.set((int(await self._pool.fetchval(_CLOCK)) - now) / 1000)
        unknown = await self._pool.fetch(_UNKNOWN)
        _show(metrics.unknown_messages, metrics.unknown_age, unknown, now)
        _show(metrics.due_messages, metrics.due_age, await self._pool.fetch(_DUE, now), now)
        row = await self._pool.fetchrow(_JOURNEYS, now)
        if row is not None:
            metrics.journeys_waiting.set(row["waiting"])
            metrics.journeys_due.set(row["due"])


def _show(count: Gauge, age: Gauge, rows: Sequence[Any], now: Millis) -> None:
    """One row a channel: how many, and since when. A channel that has none any more says 0."""
    found = {row["channel"]: row for row in rows}
    shown = {sample.labels["channel"] for family in count.collect() for sample in family.samples}
    for channel in shown | found.keys():
        row = found.get(channel)
        count.labels(channel).set(row["messages"] if row is not None else 0)
        age.labels(channel).set(max(0, now - row["since"]) / 1000 if row is not None else 0)


_CLOCK = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_UNKNOWN = """
    SELECT channel, count(*) AS messages, min(settled_at) AS since FROM message
    WHERE status = 'unknown' GROUP BY channel
"""
# Those of paused campaigns wait.
_DUE = """
    SELECT m.channel, count(*) AS messages, min(m.due_at) AS since FROM message m
    JOIN definition d ON d.kind = 'campaign' AND d.id = m.campaign_id AND d.state IN ('live', 'deleted')
    WHERE m.status = 'pending' AND m.due_at <= $1 GROUP BY m.channel
"""
_JOURNEYS = """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE e.due_at <= $1 AND d.state IN ('live', 'deleted')) AS due
    FROM entry e JOIN definition d ON d.kind = 'campaign' AND d.id = e.campaign_id
    WHERE e.due_at IS NOT NULL
"""
