"""A lost or overtaken store is folded again from the timeline, silently up to what is published."""

import msgspec

from headrace.runtime.publisher import Published
from services.segmenter.change import Position, parse_position
from services.segmenter.commit import Incoming, StateStore, Timeline, Watermark
from services.segmenter.observer import Observer
from services.segmenter.partition import CHUNK, Partition

ROWS = 2_000


async def rebuild(
    number: int,
    store: StateStore,
    timeline: Timeline,
    observer: Observer,
    *,
    epoch: int,
    published: Published,
    before: str = "",
    chunk: int = CHUNK,
) -> Partition:
    """Fold the partition from its first row (DESIGN §4.7). `published` is how far epoch `epoch` is published:
    numbering goes on from there. `before` is the last position published in earlier epochs."""
    controls = await timeline.controls(number)
    mark = Watermark(
        epoch=epoch,
        out_seq=published.seq,
        lookahead=controls[-1].seq if controls else 0,
        silent_until=published.position or await _restored_at(number, timeline, epoch, before),
    )
    await store.reset(number, mark)
    partition = await Partition.opened(number, store, timeline, observer, chunk=chunk)
    assert partition is not None  # just stored
    await catch_up(number, partition, timeline)
    return partition


async def catch_up(number: int, partition: Partition, timeline: Timeline) -> None:
    """Apply what the timeline has beyond the partition's last row."""
    while rows := await timeline.rows(number, partition.mark.seq, ROWS):
        epoch, offset = partition.mark.epoch, partition.mark.offset
        await partition.process([Incoming(msgspec.structs.replace(row, epoch=epoch), offset) for row in rows])
    await partition.flush()


async def _restored_at(number: int, timeline: Timeline, epoch: int, before: str) -> str:
    """The position up to which an earlier epoch's outputs stand: rows of the new epoch are all news, even
    where they take numbers that the lost rows had."""
    if not before:
        return ""
    last = parse_position(before)
    first_new = await timeline.first_of_epoch(number, epoch)
    return str(last if first_new is None else min(last, Position(first_new, 0, "", 0)))
