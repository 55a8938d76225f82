"""Reads one input partition that no store writes: by its offsets alone (DESIGN §3)."""

import time

from headrace.log.port import Log, OffsetOutOfRange
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from services.messenger.input import Batch
from services.messenger.store import Position

_LAG_SECONDS = 5.0
_READ_RECORDS = 500


class OffsetInput:
    """Every record from the stored offset on, in order. What it applies is idempotent by content: a record that
    was appended twice does no harm."""

    def __init__(self, log: Log, topic: str, partition: int, position: Position, metrics: Metrics) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._metrics = metrics
        self._position = position
        self._measured = 0.0

    async def read(self, wait_ms: int) -> Batch:
        """The next records; none after `wait_ms`. Raises PartitionHalted when the log no longer holds what comes
        next."""
        try:
            records = await self._log.read(
                self._topic,
                self._partition,
                self._position.next_offset,
                max_records=_READ_RECORDS,
                wait_ms=wait_ms,
            )
        except OffsetOutOfRange as error:
            raise PartitionHalted(
                f"{self._topic}/{self._partition} does not hold offset {self._position.next_offset}: records were "
                "trimmed or the log was replaced"
            ) from error
        if records:
            self._position = Position(records[-1].offset + 1)
        self._metrics.records.labels(self._topic, self._partition).inc(len(records))
        await self._measure()
        return Batch(records, self._position, len(records) == _READ_RECORDS)

    async def _measure(self) -> None:
        now = time.monotonic()
        if now - self._measured >= _LAG_SECONDS:
            self._measured = now
            bounds = await self._log.bounds(self._topic, self._partition)
            lag = max(0, bounds.end - self._position.next_offset)
            self._metrics.lag.labels(self._topic, self._partition).set(lag)
