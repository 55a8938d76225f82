"""How much of each input waits to be applied, and for how long: looked at every few seconds, also while a
partition stands still or is being restarted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from headrace.contracts.instant import Millis
from headrace.log.port import Bounds
from headrace.runtime.clock import now_ms
from headrace.runtime.metrics import Metrics

log = structlog.get_logger()

LOOK_SECONDS = 5.0


class Bounded(Protocol):
    """What is asked of the log."""

    async def bounds(self, topic: str, partition: int) -> Bounds: ...


@dataclass(slots=True)
class Backlog:
    """One partition of one input, as its reader tells it. `next_offset`: the first record that is not applied,
    None before it is known. `oldest`: the log's time of the first record that was read and is not applied, None
    when all that was read is applied."""

    next_offset: int | None = None
    oldest: Millis | None = None

    def at(self, next_offset: int, oldest: Millis | None = None) -> None:
        """Where the reader is now."""
        self.next_offset = next_offset
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found: a position, and when it was first found there with records behind it."""

    next_offset: int
    since: Millis


def stands_since(before: Seen | None, next_offset: int, lag: int, now: Millis) -> Seen | None:
    """`before` is what the look before found; None when nothing waits."""
    if lag <= 0:
        return None
    if before is not None and before.next_offset == next_offset:
        return before
    return Seen(next_offset, now)


def age_seconds(oldest: Millis | None, seen: Seen | None, now: Millis) -> float:
    """Age of the oldest record that is not applied. Of one that waits and was not even read the log's time is not
    known: then at least since it was first seen to wait."""
    begun = [at for at in (oldest, seen.since if seen is not None else None) if at is not None]
    return max(0, now - min(begun)) / 1000 if begun else 0.0


class Backlogs:
    """The inputs of one process. `of` is asked by readers when they start, `forget` called when a partition goes
    to somebody else. `clock` gives milliseconds since the epoch."""

    def __init__(self, event_log: Bounded, metrics: Metrics, *, clock: Callable[[], Millis] = now_ms) -> None:
        self._log = event_log
        self._metrics = metrics
        self._clock = clock
        self._inputs: dict[tuple[str, int], Backlog] = {}
        self._seen: dict[tuple[str, int], Seen | None] = {}

    def of(self, topic: str, partition: int) -> Backlog:
        """The input's backlog. One that starts again goes on with what it had said: what it could not apply is as
        old as before."""
        return self._inputs.setdefault((topic, partition), Backlog())

    def forget(self, partition: int) -> None:
        """The partition is not ours any more."""
        for key in [key for key in self._inputs if key[1] == partition]:
            del self._inputs[key]
            self._seen.pop(key, None)

    async def run(self) -> None:
        """Look for ever. A log that does not answer costs looks, not the process."""
        while True:
            try:
                await self.look()
            except Exception as error:  # what only watches ends no service
                log.warning("look_failed", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Set the gauges of all inputs. Where the log does not answer, ages grow all the same."""
        known = [(key, backlog) for key, backlog in self._inputs.items() if backlog.next_offset is not None]
        found = await asyncio.gather(*(self._log.bounds(*key) for key, _ in known), return_exceptions=True)
        now, failed = self._clock(), None
        for (key, backlog), bounds in zip(known, found, strict=True):
            if self._inputs.get(key) is not backlog or backlog.next_offset is None:
                continue  # it was forgotten meanwhile
            if isinstance(bounds, BaseException):
                failed = bounds
            else:
                lag = max(0, bounds.end - backlog.next_offset)
                self._seen[key] = stands_since(self._seen.get(key), backlog.next_offset, lag, now)
                self._metrics.lag.labels(*key).set(lag)
            age = age_seconds(backlog.oldest, self._seen.get(key), now)
            self._metrics.oldest_age.labels(*key).set(age)
        if failed is not None:
            raise failed
