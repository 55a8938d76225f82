"""How much of each input waits to be applied, and for how long: looked at every few seconds, also while a
partition stands still or is being restarted. An input that stands still without a word ends the process."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from headrace.contracts.instant import Millis
from headrace.log.port import Bounds
from headrace.runtime.clock import now_ms
from headrace.runtime.metrics import Metrics
from headrace.runtime.watchdog import DEFAULT_STALL_SECONDS, Sign, Stalled, Standstill, longer

log = structlog.get_logger()

LOOK_SECONDS = 5.0
LONGEST_LOOK = 2 * LOOK_SECONDS
"""What counts at most between two looks: a process that was stopped, or a machine that slept, did not stall."""


class Bounded(Protocol):
    """What is asked of the log."""

    async def bounds(self, topic: str, partition: int) -> Bounds: ...


@dataclass(slots=True)
class Backlog:
    """One partition of one input, as its reader tells it. `next_offset`: the first record that is not applied,
    None before it is known. `oldest`: the log's time of the first record that was read and is not applied, None
    when all that was read is applied. `reads`: whether a reader is at it that should move. `worked` counts what
    it does without moving."""

    next_offset: int | None = None
    oldest: Millis | None = None
    reads: bool = False
    worked: int = 0

    def at(self, next_offset: int, held_since: Millis | None = None) -> None:
        """Where the reader is now. `held_since`: the log's time of a record that it holds back, with an alarm."""
        self.next_offset = next_offset
        self.oldest = held_since
        self.reads = held_since is None

    def work(self) -> None:
        """Something was done that does not move the position: one of many commits of a record, another try."""
        self.worked += 1


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
    to somebody else. `clock` gives milliseconds since the epoch, `monotonic` seconds since whenever."""

    def __init__(
        self,
        event_log: Bounded,
        metrics: Metrics,
        *,
        clock: Callable[[], Millis] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = event_log
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._standing: dict[tuple[str, int], Standstill] = {}
        self._inputs: dict[tuple[str, int], Backlog] = {}
        self._seen: dict[tuple[str, int], Seen | None] = {}

    def of(self, topic: str, partition: int) -> Backlog:
        """The input's backlog. One that starts again goes on with what it had said: what it could not apply is as
        old as before. Until it says where it is, it is not expected to move: it may have much to do first."""
        backlog = self._inputs.setdefault((topic, partition), Backlog())
        backlog.reads = False
        backlog.work()
        return backlog

    def forget(self, partition: int) -> None:
        """The partition is not ours any more."""
        for key in [key for key in self._inputs if key[1] == partition]:
            del self._inputs[key]
            self._seen.pop(key, None)
            self._standing.pop(key, None)

    async def run(self, stall_seconds: float = DEFAULT_STALL_SECONDS) -> None:
        """Look for ever. A log that does not answer costs looks, not the process. Raises Stalled when an input
        has stood still for `stall_seconds`."""
        while True:
            try:
                await self.look()
            except Exception as error:  # what only watches ends no service
                log.warning("look_failed", error=type(error).__name__)
            self.check(stall_seconds)
            await asyncio.sleep(LOOK_SECONDS)

    def check(self, stall_seconds: float) -> None:
        """Raises Stalled when the last look found an input that has stood still for so long."""
        for (topic, partition), standing in self._standing.items():
            if standing.seconds >= stall_seconds:
                raise Stalled(
                    f"{topic}/{partition} has stood at {standing.sign.next_offset} for {standing.seconds:.0f} s "
                    "with records behind it, and said nothing: this process ends, its supervisor starts it anew"
                )

    async def look(self) -> None:
        """Set the gauges of all inputs. Where the log does not answer, ages grow all the same."""
        known = [(key, backlog) for key, backlog in self._inputs.items() if backlog.next_offset is not None]
        found = await asyncio.gather(*(self._log.bounds(*key) for key, _ in known), return_exceptions=True)
        now, failed = self._clock(), None
        looked_at = self._monotonic()
        passed, self._looked_at = min(looked_at - self._looked_at, LONGEST_LOOK), looked_at
        for (key, backlog), bounds in zip(known, found, strict=True):
            if self._inputs.get(key) is not backlog or backlog.next_offset is None:
                continue  # it was forgotten meanwhile
            if isinstance(bounds, BaseException):
                failed = bounds
                self._stand(key, None, passed)
            else:
                lag = max(0, bounds.end - backlog.next_offset)
                self._stand(key, backlog if lag and backlog.reads else None, passed)
                self._seen[key] = stands_since(self._seen.get(key), backlog.next_offset, lag, now)
                self._metrics.lag.labels(*key).set(lag)
            age = age_seconds(backlog.oldest, self._seen.get(key), now)
            self._metrics.oldest_age.labels(*key).set(age)
        if failed is not None:
            raise failed

    def _stand(self, key: tuple[str, int], waiting: Backlog | None, passed: float) -> None:
        """Note how long the input has stood still; `waiting` is None where nothing keeps it from moving, or where
        it is known what does."""
        if waiting is None or waiting.next_offset is None:
            self._standing.pop(key, None)
        else:
            sign = Sign(waiting.next_offset, waiting.worked)
            self._standing[key] = longer(self._standing.get(key), sign, passed)
        seconds = self._standing[key].seconds if key in self._standing else 0
        self._metrics.standstill.labels(*key).set(seconds)
