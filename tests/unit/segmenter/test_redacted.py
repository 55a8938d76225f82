"""A partition that is folded again from rows of which some were redacted since."""

import msgspec

from headrace.contracts.profile_event import ErasureRow, ProfileRow
from headrace.contracts.segment_change import SegmentChange
from headrace.runtime.publisher import Published
from services.segmenter.commit import Redacted
from services.segmenter.rebuild import rebuild
from tests.unit.segmenter.memory import MemoryPublished, MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event
from tests.unit.segmenter.test_partition import ONE, incoming, opened

LIVE = [control(1, "define", "s", at=1, when=ONE), control(2, "activate", "s", at=1)]


def sequences(store: MemoryStore) -> dict[int, int]:
    changes = {
        number: msgspec.json.decode(value, type=SegmentChange) for number, value in store.published[0].items()
    }
    return {number: int(change.properties["sequence"]) for number, change in changes.items()}


async def test_numbers_of_transitions_rise_though_redacted_rows_make_none() -> None:
    erasure = ErasureRow(seq=5, epoch=1, time=30, low=30, profile_id="p1")
    rows: list[ProfileRow] = [*LIVE, event(3, "p1", at=10), event(4, "p2", at=20), erasure, event(6, "p3", at=40)]
    calm = MemoryStore()
    partition = await opened(calm, rows, Recorder())
    await partition.process(incoming(*rows))
    assert sequences(calm) == {1: 1, 2: 2, 3: 3, 4: 4}
    there = Redacted(3, partition.mark.seq, partition.mark.transitions)

    rows[2] = event(3, "p1", name="", at=10)
    rows += [event(7, "p4", at=50), event(8, "p5", at=60)]
    timeline = MemoryTimeline([rows])
    timeline.redactions[0] = there
    again = MemoryStore()
    published = MemoryPublished(Published(1, 4, calm.positions[0][4], 0))
    await rebuild(0, again, timeline, Recorder(), published, published, epoch=1)
    assert sequences(again) == {5: 5, 6: 6}
    assert set(await again.customers(0, ["p1", "p2", "p3", "p4", "p5"])) == {"p2", "p3", "p4", "p5"}
