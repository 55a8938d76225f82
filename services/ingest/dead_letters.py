"""Reads the dead letters out of the log: newest first for people, oldest first to replay them.

A letter may have a megabyte, so few are in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from headrace.contracts.dead_letter import DeadLetter
from headrace.contracts.headers import TRACEPARENT, header
from headrace.log.port import Bounds, Log, OffsetOutOfRange, Record

MAX_SCANNED = 2_000  # letters looked at for one page
MAX_PAGE_BYTES = 4 * 1024 * 1024
_BACK = 4  # letters read at once in each partition, newest first
_AHEAD = 16  # and oldest first, in one partition

_letters = msgspec.json.Decoder(DeadLetter)


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter and where it stands. `time` is the log's; `key` and `traceparent` are the record's."""

    partition: int
    offset: int
    time: int
    key: bytes | None
    traceparent: str
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Page:
    """Letters, and for each partition the offset before which the next page goes on; None at the end. A page
    may be short, even empty, and yet not the last: how much is looked at for one is bounded."""

    letters: Sequence[StoredLetter]
    before: Sequence[int] | None


class DeadLetters:
    """The topic of dead letters."""

    def __init__(self, log: Log, topic: str, partitions: int) -> None:
        self._log = log
        self._topic = topic
        self._partitions = partitions

    @property
    def partitions(self) -> int:
        return self._partitions

    async def ends(self) -> list[int]:
        """Where each partition ends now."""
        return [(await self._bounds(partition)).end for partition in range(self._partitions)]

    async def newest(
        self, before: Sequence[int], limit: int, *, partition: int | None = None, reason: str | None = None
    ) -> Page:
        """At most `limit` letters that stand before these offsets, newest first by the log's time."""
        lanes = [_Lane(self, q, end) for q, end in enumerate(before)]
        wanted = lanes if partition is None else [lanes[partition]]
        found: list[StoredLetter] = []
        size = scanned = 0
        while len(found) < limit and scanned < MAX_SCANNED and size < MAX_PAGE_BYTES:
            heads = [(head.time, lane) for lane in wanted if (head := await lane.head()) is not None]
            if not heads:
                return Page(found, None)
            letter = max(heads, key=lambda head: head[0])[1].take()
            scanned += 1
            if reason is None or letter.letter.reason == reason:
                found.append(letter)
                size += len(letter.letter.raw)
        return Page(found, [lane.before for lane in lanes])

    async def ahead(self, partition: int, offset: int, end: int) -> list[StoredLetter]:
        """The next letters from `offset` on and before `end`, a few; empty when there are none left."""
        begin = (await self._bounds(partition)).begin
        return await self._between(partition, max(offset, begin), min(end, max(offset, begin) + _AHEAD))

    async def at(self, partition: int, offset: int) -> StoredLetter | None:
        """The letter that stands there, if the log holds it."""
        found = await self._between(partition, offset, offset + 1)
        return found[0] if found else None

    async def back(self, partition: int, before: int) -> list[StoredLetter]:
        """The few letters that stand before the offset, oldest first."""
        begin = (await self._bounds(partition)).begin
        return await self._between(partition, max(begin, before - _BACK), before)

    async def _between(self, partition: int, offset: int, end: int) -> list[StoredLetter]:
        if offset >= end:
            return []
        try:
            records = await self._log.read(self._topic, partition, offset, max_records=end - offset)
        except OffsetOutOfRange:
            return []  # trimmed just now, or never there
        return [_stored(record) for record in records]

    async def _bounds(self, partition: int) -> Bounds:
        return await self._log.bounds(self._topic, partition)


class _Lane:
    """One partition from its end to its beginning. `before`: what is not taken yet stands before it."""

    def __init__(self, letters: DeadLetters, partition: int, before: int) -> None:
        self.before = before
        self._letters = letters
        self._partition = partition
        self._read: list[StoredLetter] = []

    async def head(self) -> StoredLetter | None:
        if not self._read and self.before > 0:
            self._read = await self._letters.back(self._partition, self.before)
            if not self._read:
                self.before = 0
        return self._read[-1] if self._read else None

    def take(self) -> StoredLetter:
        taken = self._read.pop()
        self.before = taken.offset
        return taken


def _stored(record: Record) -> StoredLetter:
    try:
        letter = _letters.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        letter = DeadLetter(
            id=f"{record.partition}-{record.offset}",
            reason="unreadable",
            detail="This record is no dead letter.",
            origin_topic="",
            raw=record.value or b"",
            at=record.time,
            complete=False,
        )
    trace = (header(record.headers, TRACEPARENT) or b"").decode("ascii", "replace")
    return StoredLetter(record.partition, record.offset, record.time, record.key, trace, letter)
