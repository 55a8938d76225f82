"""A published change as the segmenter reads it back, and the port of those who build on what was published."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import asyncpg.pool
import msgspec

from headrace.contracts.headers import EPOCH, SEQ, header
from headrace.contracts.instant import parse_instant
from headrace.contracts.segment_change import SegmentChange
from headrace.log.port import Record

# quoted: asyncpg's classes are generic in its stubs only
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_decoder = msgspec.json.Decoder(SegmentChange)
_TEXTS = ("segment_id", "action", "reason", "entry_id")
_NUMBERS = ("segment_version", "sequence")


class Undecodable(ValueError):
    """The record is no segment change that a segmenter has published."""


class FollowedChange(msgspec.Struct, frozen=True):
    """One published change: where it stands in `cdp.segment-changes`, its dense number, and what it says."""

    partition: int
    offset: int
    epoch: int
    seq: int
    record: Record
    change: SegmentChange


class Handler(Protocol):
    """What is done with published changes. Called for one partition at a time, changes in their order, none
    twice: whatever `apply` writes through `connection` happens exactly once."""

    async def apply(self, connection: Connection, changes: Sequence[FollowedChange]) -> None:
        """Write what these changes (one at least, all of one partition) mean, inside the follower's transaction.
        Raising rolls all handlers back; the same changes come again later."""
        ...

    def committed(self) -> None:
        """The transaction of the last `apply` has committed."""
        ...


def numbers(record: Record) -> tuple[int, int]:
    """The record's epoch and dense number. Raises Undecodable."""
    try:
        return int(header(record.headers, EPOCH) or b""), int(header(record.headers, SEQ) or b"")
    except ValueError as error:
        raise Undecodable(f"it has no {EPOCH} and {SEQ} headers with numbers") from error


def decode(record: Record, epoch: int, seq: int) -> FollowedChange:
    """Raises Undecodable for what handlers could not rely on."""
    try:
        change = _decoder.decode(record.value or b"")
        parse_instant(change.timestamp)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Undecodable(str(error)) from error
    properties = change.properties
    wrong = [name for name in _TEXTS if not isinstance(properties.get(name), str)]
    wrong += [name for name in _NUMBERS if type(properties.get(name)) is not int]
    if wrong:
        raise Undecodable(f"properties lack {', '.join(wrong)}")
    if "\0" in change.profile.id or any("\0" in properties[name] for name in _TEXTS):
        raise Undecodable("an id contains U+0000: no store can hold it")
    return FollowedChange(record.partition, record.offset, epoch, seq, record, change)
