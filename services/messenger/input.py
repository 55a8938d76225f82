"""Reads one input partition contiguously from a stored position (DESIGN §4.3)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from headrace.contracts.headers import EPOCH, SEQ, header
from headrace.contracts.instant import Millis
from headrace.log.port import Log, OffsetOutOfRange, Record
from headrace.runtime.backlog import Backlog
from headrace.runtime.contiguity import Verdict, judge
from headrace.runtime.metrics import Metrics
from headrace.runtime.replaced import log_replaced
from services.messenger.store import Position

log = structlog.get_logger()

_READ_RECORDS = 500
_TICK = b"io.headrace.profile.tick.v1"


SetAside = Callable[[Record, str], Awaitable[None]]
"""Makes a dead letter of a record, saying what is wrong with it. Durable when it returns."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to apply, in order, and the position that stands behind them. `more`: the log surely holds more."""

    records: Sequence[Record]
    position: Position
    more: bool = False


class ContiguousInput:
    """Applies `last + 1`, drops what was seen, and on a hole lets everything pass until `last + 1` is sent
    again: then nothing is applied, the position stands, and an alarm is raised. Ticks pass and move only the
    offset; what else has no number is no store's output and is set aside."""

    def __init__(
        self,
        log: Log,
        topic: str,
        partition: int,
        position: Position,
        metrics: Metrics,
        *,
        set_aside: SetAside,
        backlog: Backlog,
    ) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._metrics = metrics
        self._set_aside = set_aside
        self._position = position
        self._offset = position.next_offset
        self._held_since: Millis | None = None
        self._backlog = backlog

    async def read(self, wait_ms: int) -> Batch:
        """The next records; none after `wait_ms`. Where the log does not hold them any more, what it does hold:
        numbers tell whether something is missing. By asking for more, the caller says that it has applied what it
        had."""
        self._backlog.at(self._position.next_offset, self._held_since)
        try:
            records = await self._log.read(
                self._topic, self._partition, self._offset, max_records=_READ_RECORDS, wait_ms=wait_ms
            )
        except OffsetOutOfRange:
            await self._begin_anew()
            records = []
        apply = [record for record in records if await self._wanted(record)]
        if records:
            self._offset = records[-1].offset + 1
            if self._held_since is None:
                self._position = Position(self._offset, self._position.epoch, self._position.seq)
        if records:
            self._backlog.oldest = self._held_since or records[0].time
        self._metrics.records.labels(self._topic, self._partition).inc(len(apply))
        if self._held_since is not None:  # the runner takes alarms down that nobody renews
            self._metrics.halted.labels(self._partition).set(1)
        return Batch(apply, self._position, len(records) == _READ_RECORDS)

    async def _begin_anew(self) -> None:
        """Go on where the log begins: it was trimmed, or made anew."""
        bounds = await self._log.bounds(self._topic, self._partition)
        if self._offset > bounds.end:
            log_replaced(self._topic, self._partition, self._offset, bounds)
        else:
            log.warning("log_trimmed", topic=self._topic, partition=self._partition, begin=bounds.begin)
        self._offset = bounds.begin
        if self._held_since is None:
            self._position = Position(self._offset, self._position.epoch, self._position.seq)

    async def _wanted(self, record: Record) -> bool:
        if header(record.headers, "ce_type") == _TICK:
            return False
        number = _number(record)
        if number is None:
            await self._set_aside(record, f"it lacks a whole number as {EPOCH} or {SEQ}")
            return False
        return self._admit(record, *number)

    def _admit(self, record: Record, epoch: int, seq: int) -> bool:
        verdict = judge(self._position.epoch, self._position.seq, epoch, seq)
        if verdict is Verdict.GAP:
            self._alarm(seq, record.time)
            return False
        if verdict in (Verdict.DUPLICATE, Verdict.STALE_EPOCH):
            self._metrics.duplicates.labels(self._topic).inc()
            return False
        if self._held_since is not None:
            self._held_since = None
            self._metrics.halted.labels(self._partition).set(0)
        if verdict is Verdict.NEW_EPOCH and self._position.epoch:
            # entries keep their ids across epochs: the ledger still knows what was decided
            log.error("new_epoch", topic=self._topic, partition=self._partition, epoch=epoch, seq=seq)
        self._position = Position(record.offset + 1, epoch, seq)
        return True

    def _alarm(self, seq: int, at: Millis) -> None:
        if self._held_since is not None:
            return
        self._held_since = at
        self._metrics.gaps.labels(self._topic, self._partition).inc()
        self._metrics.halted.labels(self._partition).set(1)
        log.error(
            "sequence_gap",
            topic=self._topic,
            partition=self._partition,
            expected=self._position.seq + 1,
            found=seq,
            help="run `headrace republish`",
        )


def _number(record: Record) -> tuple[int, int] | None:
    """(epoch, seq) of a store's output; None for a record without a number."""
    epoch, seq = header(record.headers, EPOCH), header(record.headers, SEQ)
    if epoch is None or seq is None or not (epoch.isdigit() and seq.isdigit()):
        return None
    return int(epoch), int(seq)
