"""A definition's own deadlines are kept of every customer, also of those whom it does not move."""

from headrace.contracts.profile_event import ProfileRow
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.partition import Partition
from tests.unit.segmenter.memory import MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event

SHORT = {"event": {"name": "A", "within": "5s"}}
LONG = {"all": [{"event": {"name": "C", "within": "20s"}}, {"event": {"name": "B"}}]}


async def test_a_deadline_behind_the_one_that_is_armed_outlives_the_activation() -> None:
    rows: list[ProfileRow] = [
        control(1, "define", "short", at=1, when=SHORT),
        control(2, "activate", "short", at=1),
        event(3, "p", "A", at=1_000),
        event(4, "p", "C", at=1_000),
        control(5, "define", "long", at=2_000, when=LONG),
        control(6, "activate", "long", at=2_000),
        event(7, "p", "B", at=7_000),
        event(8, "q", "B", at=30_000),
    ]
    store = MemoryStore()
    await store.reset(0, Watermark(epoch=1))
    partition = await Partition.opened(0, store, MemoryTimeline([rows]), Recorder())
    assert partition is not None
    for offset, row in enumerate(rows, 1):
        await partition.process([Incoming(row, offset)])
    moves = [(change.segment_id, change.action, change.at) for change in store.transitions]
    assert moves == [
        ("short", "entered", 1_000),
        ("short", "exited", 6_000),
        ("long", "entered", 7_000),
        ("long", "exited", 21_000),
    ]
