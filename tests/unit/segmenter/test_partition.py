"""A partition between commits: what it drops, what it waits for, what it cuts into pieces."""

from collections.abc import Sequence

import msgspec
import pytest

from headrace.contracts.profile_event import ProfileEvent, ProfileRow, Tick
from headrace.runtime.publisher import Published
from services.segmenter.commit import Incoming, Watermark
from services.segmenter.partition import NewEpoch, Partition
from services.segmenter.rebuild import rebuild
from tests.unit.segmenter.memory import MemoryPublished, MemoryStore, MemoryTimeline
from tests.unit.segmenter.recorder import Recorder
from tests.unit.segmenter.rows import control, event

ONE = {"event": {"name": "A"}}
RECENT = {"event": {"name": "A", "within": "10s"}}
LIVE = [control(1, "define", "s", at=1, when=RECENT), control(2, "activate", "s", at=1)]


async def opened(
    store: MemoryStore, rows: Sequence[ProfileRow], observer: Recorder, chunk: int = 500
) -> Partition:
    if await store.load(0) is None:
        await store.reset(0, Watermark(epoch=1))
    partition = await Partition.opened(0, store, MemoryTimeline([rows]), observer, chunk=chunk)
    assert partition is not None
    return partition


def incoming(*rows: ProfileEvent) -> list[Incoming]:
    return [Incoming(row, offset) for offset, row in enumerate(rows, 1)]


async def test_ticks_with_nothing_due_cost_no_commit_until_a_flush() -> None:
    store = MemoryStore()
    partition = await opened(store, [], Recorder())
    await partition.process(incoming(*(Tick(seq=0, epoch=1, low=n) for n in range(100))))
    assert (len(store.states[0]), partition.mark.now, partition.mark.offset) == (1, 99, 100)
    await partition.flush()
    await partition.flush()
    assert [state[0].now for state in store.states[0]] == [0, 99]


async def test_what_was_seen_is_dropped_and_what_comes_too_early_waits() -> None:
    store, observer = MemoryStore(), Recorder()
    first, second, third = (event(n, "p", at=n) for n in (1, 2, 3))
    partition = await opened(store, [first, second, third], observer)
    await partition.process(incoming(first, first, third))
    assert (partition.mark.seq, observer.duplicates, observer.gaps) == (1, 1, 1)
    await partition.process(incoming(second, third))
    assert partition.mark.seq == 3


async def test_a_tick_that_overtakes_its_row_moves_no_time() -> None:
    partition = await opened(MemoryStore(), [], Recorder())
    await partition.process(incoming(Tick(seq=4, epoch=1, low=99)))
    assert partition.mark.now == 0


async def test_a_lower_epoch_is_dropped_and_a_higher_one_asks_for_a_rebuild() -> None:
    store = MemoryStore()
    await store.reset(0, Watermark(epoch=3))
    partition = await opened(store, [], Recorder())
    await partition.process(incoming(event(1, "p", at=1)))
    assert partition.mark.seq == 0
    with pytest.raises(NewEpoch) as raised:
        await partition.process(incoming(Tick(seq=0, epoch=4, low=1)))
    assert raised.value.epoch == 4


async def test_timers_of_one_instant_are_committed_piece_by_piece_and_in_order() -> None:
    store = MemoryStore()
    rows: list[ProfileRow] = [*LIVE, *(event(3 + n, f"p{n}", at=1_000) for n in range(9))]
    partition = await opened(store, rows, Recorder(), chunk=2)
    await partition.process(incoming(*rows))
    commits = len(store.states[0])
    await partition.process(incoming(Tick(seq=11, epoch=1, low=11_000)))
    exits = [change.profile_id for change in store.transitions if change.action == "exited"]
    assert exits == [f"p{n}" for n in range(9)]
    assert len(store.states[0]) - commits >= 4


async def test_activation_waits_until_the_partition_s_own_backfill_is_complete() -> None:
    store, observer = MemoryStore(), Recorder()
    events: list[ProfileRow] = [event(1 + n, f"p{n}", at=1_000) for n in range(9)]
    define, activate = control(10, "define", "s", at=1_000, when=ONE), control(11, "activate", "s", at=1_000)
    partition = await opened(store, [*events, define, activate], observer, chunk=2)
    await partition.process(incoming(*events, define))
    assert (partition.mark.backfill, observer.ready[0]) == ("", {})
    assert await partition.backfill()
    assert not [change for change in store.transitions if change.segment_id == "s"]
    await partition.process(incoming(activate))
    assert [change.profile_id for change in store.transitions] == [f"p{n}" for n in range(9)]
    assert {change.reason for change in store.transitions} == {"definition"}
    assert observer.live[0] == {"s": 1}


async def test_a_definition_during_a_backfill_starts_the_pass_again() -> None:
    store, observer = MemoryStore(), Recorder()
    events: list[ProfileRow] = [event(1 + n, f"p{n}", at=1_000) for n in range(4)]
    first, second = (control(5 + n, "define", key, at=1_000, when=ONE) for n, key in enumerate("ab"))
    partition = await opened(store, [*events, first, second], observer, chunk=3)
    await partition.process(incoming(*events, first))
    await partition.backfill()
    assert partition.mark.backfill == "p2"
    await partition.process(incoming(second))
    assert partition.mark.backfill == ""
    while await partition.backfill():
        pass
    assert observer.ready[0] == {"a": 1, "b": 1}


async def test_after_a_restore_the_new_epoch_s_rows_are_news_though_their_numbers_were_used() -> None:
    """Epoch 1 published up to row 5; the restored Postgres had rows up to 3 and has written on from there."""
    rows: list[ProfileRow] = [*LIVE, event(3, "old", at=1_000)]
    rows.append(msgspec.structs.replace(event(4, "new", at=2_000), epoch=2))
    store = MemoryStore()
    before = "5,9000,zzz,1"
    published = MemoryPublished(Published(1, 7, before, 0), before)
    partition = await rebuild(0, store, MemoryTimeline([rows]), Recorder(), published, published, epoch=2)
    assert partition.mark.epoch == 2
    assert list(store.published[0]) == [1]
    assert b'"profile":{"id":"new"}' in store.published[0][1]


async def test_a_tick_that_is_the_first_of_a_new_epoch_makes_none_of_its_rows_silent() -> None:
    """As above, but the epoch is heard of by a tick, before it has a row."""
    rows: list[ProfileRow] = [*LIVE, event(3, "old", at=1_000)]
    news = msgspec.structs.replace(event(4, "new", at=2_000), epoch=2)
    store, before = MemoryStore(), "5,9000,zzz,1"
    published = MemoryPublished(Published(1, 7, before, 0), before)
    partition = await rebuild(0, store, MemoryTimeline([rows]), Recorder(), published, published, epoch=2)
    assert list(store.published.get(0, {})) == []
    await partition.process(incoming(news))
    await partition.flush()
    assert list(store.published[0]) == [1]
    assert b'"profile":{"id":"new"}' in store.published[0][1]


async def test_a_segment_paused_before_its_activation_is_activated_paused() -> None:
    store, observer = MemoryStore(), Recorder()
    rows: list[ProfileRow] = [
        event(1, "p", at=1_000),
        control(2, "define", "s", at=1_000, when=ONE),
        control(3, "pause", "s", at=1_000),
        control(4, "activate", "s", at=1_000),
        event(5, "other", at=2_000),
    ]
    partition = await opened(store, rows, observer)
    await partition.process(incoming(*rows))
    assert (store.transitions, observer.live[0]) == ([], {"s": 1})
    await partition.process([Incoming(control(6, "resume", "s", at=3_000), 6)])
    assert [change.profile_id for change in store.transitions] == ["other", "p"]


async def test_an_edit_made_after_a_pause_is_activated_live() -> None:
    store = MemoryStore()
    rows: list[ProfileRow] = [
        *LIVE,
        control(3, "pause", "s", at=1_000),
        control(4, "define", "s", 2, at=1_000, when=ONE),
        control(5, "activate", "s", 2, at=1_000),
        event(6, "p", at=2_000),
    ]
    partition = await opened(store, rows, Recorder())
    await partition.process(incoming(*rows))
    assert [change.version for change in store.transitions] == [2]


async def test_a_tick_of_before_a_half_applied_record_does_not_move_time_under_it() -> None:
    """A rebuild dies in the middle of a sweep; the log, read again from its begin, still has older ticks."""
    store = MemoryStore()
    rows: list[ProfileRow] = [*(event(1 + n, f"p{n}", at=1_000) for n in range(6))]
    rows += [control(7, "define", "s", at=1_000, when=RECENT), control(8, "activate", "s", at=12_000)]
    partition = await opened(store, rows, Recorder(), chunk=2)
    await partition.process(incoming(*rows[:7]))
    while await partition.backfill():
        pass
    activate = msgspec.structs.replace(rows[7], low=1_000, time=1_000)
    await partition.process([Incoming(activate, 8)])
    whole = list(store.transitions)
    half = next(i for i, state in enumerate(store.states[0]) if state[0].swept == "p1")
    store.roll_back(0, len(store.states[0]) - half - 1)
    partition = await opened(store, rows, Recorder(), chunk=2)
    await partition.process([Incoming(Tick(seq=7, epoch=1, low=11_000), 7), Incoming(activate, 8)])
    assert len(store.states[0]) > half
    assert store.transitions[len(whole) :] == whole[2:]


async def test_a_number_that_no_decimal_takes_is_a_missing_value_and_stops_nothing() -> None:
    """Small enough for a float reader to make it 0, and so for ingest to let it through."""
    when = {"event": {"name": "A", "sum": {"of": "properties.total", "gte": 0}}}
    live = [control(1, "define", "s", at=1, when=when), control(2, "activate", "s", at=1)]
    tiny = msgspec.structs.replace(
        event(3, "p", at=1_000), properties=msgspec.Raw(b'{"total":1e-9999999999999999999}')
    )
    deep = msgspec.structs.replace(
        event(4, "p", at=1_000), properties=msgspec.Raw(b'{"total":' + b"[" * 9_000 + b"]" * 9_000 + b"}")
    )
    store = MemoryStore()
    partition = await opened(store, [], Recorder())
    await partition.process(incoming(*live, tiny, deep))
    assert partition.mark.seq == 4
