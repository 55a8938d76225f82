"""The partitioned event log: the one interface that Kafka and Redis Streams both keep.

Topics have numbered partitions; a partition is a sequence of records with dense offsets from 0. `offset` is
a record's own number, `next_offset` the number of the first record not yet dealt with. Topic names at this
port are full names (prefix applied).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.headers import Headers
from headrace.contracts.topics import Topic

MAX_RECORD_BYTES = 1024 * 1024
"""The largest record: key, value and headers."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""The largest append, what the engine adds to the records included. A store's outbox is cut accordingly."""


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to append. `key` None only where nobody joins on it; `value` None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def size(self) -> int:
        """Bytes that count against the record limit: key, value, header names and values."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value)
        return size


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. `time` is the log's own clock at the append, milliseconds since the epoch; it may
    step back between records (Kafka), so readers take the running maximum."""

    topic: str
    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Bounds:
    """`begin`: the lowest offset still held. `end`: the offset that the next append gets."""

    begin: int
    end: int


class LogError(HeadraceError):
    """Root of the log's errors."""


class LogUnavailable(LogError):
    """The log did not answer in time. An append may or may not have landed: look at the end before repeating."""


class LogFull(LogError):
    """The log refuses more data until consumers have caught up. Nothing of the append landed."""


class RecordTooLarge(LogError):
    """A record is over the limit. Nothing of the batch was appended; the log is usable."""


class OffsetOutOfRange(LogError):
    """The offset asked for is below `begin` (trimmed) or above `end` (another log?). Never reset silently."""


class UnknownTopic(LogError):
    """The topic or partition does not exist. Run `headrace topics create`."""


class WrongTopicSettings(LogError):
    """A topic exists with other settings (partition count, time type) than the deployment's."""


class Member(Protocol):
    """This process's place in a consumer group. A partition number is assigned for all of the group's topics
    at once. Assignment is advice that keeps members apart; correctness comes from the stores' conditional
    commits, since a paused member may work on after its partition went to another."""

    def assigned(self) -> frozenset[int]:
        """The partition numbers that are ours now; empty while standing by or after `leave`."""
        ...

    async def changed(self, known: frozenset[int]) -> frozenset[int]:
        """Return the assignment as soon as it differs from `known` (at once if it already does)."""
        ...

    async def commit(self, topic: str, partition: int, next_offset: int) -> None:
        """Publish how far the group has come: read by lag tools and by trimming, never to find where to go on.
        Never lowers what is stored. Errors other than cancellation are swallowed and counted."""
        ...

    async def leave(self) -> None:
        """Give the partitions up at once, so that another member takes them. Idempotent."""
        ...


class Log(Protocol):
    """The log. One instance per process, safe for concurrent tasks of one event loop."""

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        """Create what is missing and check what exists. Idempotent.

        Raises WrongTopicSettings when a topic has another partition count.
        """
        ...

    async def append(self, topic: str, partition: int, records: Sequence[NewRecord]) -> int:
        """Append in order, adjacent and all or none per batch; return the first record's offset.

        Returns only when the records are durable (Kafka: acks=all, idempotent; Redis: fsynced). Concurrent
        appends to one partition are ordered by the log. Raises RecordTooLarge (also for more than
        MAX_BATCH_BYTES at once), LogFull, UnknownTopic (nothing landed) or LogUnavailable (unknown: may have
        landed; on Redis no later than this call's end, a stalled Kafka broker may append it even later).
        """
        ...

    async def read(
        self, topic: str, partition: int, offset: int, *, max_records: int = 500, wait_ms: int = 0
    ) -> list[Record]:
        """Up to `max_records` records from `offset` on, in order, without holes; empty after `wait_ms` if there
        are none. Every call says where: that is seek and replay. Cancelling is safe.

        Raises OffsetOutOfRange, UnknownTopic or LogUnavailable.
        """
        ...

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """The partition's bounds now."""
        ...

    async def erase(self, topic: str, partition: int, offsets: Sequence[int]) -> bool:
        """Take what these records say out for good: their key, value and headers. They are read as records without
        any, at the same offset and time. One caller at a time. False where the log cannot, and records only end by
        their retention (Kafka). Raises LogFull, UnknownTopic or LogUnavailable: repeat."""
        ...

    async def join(self, group: str, topics: Sequence[str], partitions: int) -> Member:
        """Enter the consumer group and learn over time which partition numbers are ours.

        Every partition is assigned to at most one live member of a group; a member that dies is replaced
        within 15 s. On Redis Streams one member at a time has all partitions.
        """
        ...

    async def close(self) -> None:
        """Leave every group and free connections. Idempotent; tolerates never-used."""
        ...
