"""A lost or overtaken store is folded again from the timeline, silently up to what is published."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from headrace.runtime.failpoints import failpoint
from headrace.runtime.publisher import Published
from services.segmenter.change import Position, parse_position
from services.segmenter.commit import Incoming, StateStore, Timeline, Watermark
from services.segmenter.observer import Observer
from services.segmenter.partition import CHUNK, Partition

ROWS = 2_000
FIRST_EPOCH = 1
"""Of every timeline: a partition that has no row yet need not be rebuilt when its first row comes."""


class PublishedSoFar(Protocol):
    """How far a partition's outputs are published."""

    async def found(self, partition: int, epoch: int) -> Published:
        """The last output of this epoch, stored as published or standing in the topic."""
        ...

    async def before(self, partition: int, epoch: int) -> str:
        """The last position published in earlier epochs; empty when there was none."""
        ...


async def rebuild(
    number: int,
    store: StateStore,
    timeline: Timeline,
    observer: Observer,
    published: PublishedSoFar,
    computed: PublishedSoFar,
    *,
    epoch: int = 0,
    chunk: int = CHUNK,
) -> Partition:
    """Fold the partition from its first row (DESIGN §4.7). `epoch` is the one the input was seen to have.
    Numbering goes on after the last output that is published; `computed` says so of computed traits."""
    failpoint("before_rebuild")
    epochs = await timeline.epochs(number)
    epoch = max([epoch, FIRST_EPOCH, *epochs])
    first_new = _first_of(epoch, epochs)
    last, silent_until = await _last(published, number, epoch, first_new)
    last_computed, computed_until = await _last(computed, number, epoch, first_new)
    controls = await timeline.controls(number)
    lookahead = controls[-1].seq if controls else 0
    await store.reset(
        number,
        Watermark(
            epoch=epoch,
            out_seq=last.seq,
            lookahead=lookahead,
            silent_until=silent_until,
            computed_seq=last_computed.seq,
            computed_until=computed_until,
        ),
    )
    failpoint("after_reset")
    partition = await Partition.opened(number, store, timeline, observer, chunk=chunk)
    assert partition is not None  # just stored
    await catch_up(number, partition, timeline)
    failpoint("after_rebuild")
    return partition


async def catch_up(number: int, partition: Partition, timeline: Timeline) -> None:
    """Apply what the timeline has beyond the partition's last row. Numbers of transitions go on where they were
    published, though what was redacted does not make its own again."""
    redacted = await timeline.redacted(number)
    while rows := await timeline.rows(number, partition.mark.seq, ROWS):
        if partition.mark.seq < redacted.counted_seq:
            rows = [row for row in rows if row.seq <= redacted.counted_seq]
        epoch, offset = partition.mark.epoch, partition.mark.offset
        await partition.process([Incoming(msgspec.structs.replace(row, epoch=epoch), offset) for row in rows])
        if partition.mark.seq >= redacted.counted_seq:
            partition.count_from(redacted.transitions, redacted.computed)
    await partition.flush()


async def _last(published: PublishedSoFar, number: int, epoch: int, first_new: int) -> tuple[Published, str]:
    """The last output of the epoch, and the position up to which outputs stand."""
    last = await published.found(number, epoch)
    if last.position:
        return last, last.position
    return last, _restored_at(await published.before(number, epoch), first_new)


def _first_of(epoch: int, epochs: Mapping[int, tuple[int, int]]) -> int:
    """The first number that a row of the epoch has or, where a tick came before all of them, will have."""
    if epoch in epochs:
        return epochs[epoch][0]
    return 1 + max((last for _, last in epochs.values()), default=0)


def _restored_at(before: str, first_new: int) -> str:
    """The position up to which an earlier epoch's outputs stand: rows of the new epoch are all news, even
    where they take numbers that lost rows had."""
    if not before:
        return ""
    return str(min(parse_position(before), Position(first_new, 0, "", 0)))
