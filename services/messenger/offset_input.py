"""Reads one input partition that no store writes: by its offsets alone (DESIGN §3)."""

from headrace.log.port import Log, OffsetOutOfRange
from headrace.runtime.backlog import Backlog
from headrace.runtime.metrics import Metrics
from headrace.runtime.partitions import PartitionHalted
from services.messenger.input import Batch
from services.messenger.store import Position

_READ_RECORDS = 500


class OffsetInput:
    """Every record from the stored offset on, in order. What it applies is idempotent by content: a record that
    was appended twice does no harm."""

    def __init__(
        self, log: Log, topic: str, partition: int, position: Position, metrics: Metrics, *, backlog: Backlog
    ) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._metrics = metrics
        self._position = position
        self._backlog = backlog

    async def read(self, wait_ms: int) -> Batch:
        """The next records; none after `wait_ms`. Raises PartitionHalted when the log no longer holds what comes
        next. By asking for more, the caller says that it has applied what it had."""
        self._backlog.at(self._position.next_offset)
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
                "trimmed or the log was replaced; where what is missing is lost, let it be read anew (nothing "
                "counts twice): next_offset = 0 in messenger.input_position for this topic and partition"
            ) from error
        if records:
            self._position = Position(records[-1].offset + 1)
            self._backlog.oldest = records[0].time
        self._metrics.records.labels(self._topic, self._partition).inc(len(records))
        return Batch(records, self._position, len(records) == _READ_RECORDS)
