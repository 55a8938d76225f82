"""Numbers, time and low of timeline rows (DESIGN §4.2, §4.4)."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.profile_event import (
    ControlRow,
    EventRow,
    MergeRow,
    TombstoneRow,
    decode_profile_event,
    encode_row,
)
from headrace.contracts.topics import partition_of
from services.profiles.fold import Draft, EventDraft, InputClock, MergeDraft, UnmergeDraft
from services.profiles.sequence import Counter, TimelineRow, assign, control_row, partitions_of

PARTITIONS = 3
PROFILES = st.sampled_from([f"p{n}" for n in range(8)])
STEP = st.integers(0, 5)


def event_draft(profile: str, clock: InputClock, ts: int) -> EventDraft:
    row = EventRow(
        seq=0, epoch=0, time=0, low=0, profile_id=profile, source="shop", message_id="m", type="track", ts=ts
    )
    return EventDraft(clock, None, row)


def merge_draft(winner: str, loser: str, clock: InputClock) -> MergeDraft:
    return MergeDraft(clock, None, winner, loser, "shop", "m", {"plan": "gold"}, {}, "u1")


@st.composite
def drafts(draw: st.DrawFn) -> list[Draft]:
    time, made = 10, list[Draft]()
    for _ in range(draw(st.integers(0, 12))):
        clock = InputClock(time=time + draw(STEP), processed=time)
        time = clock.time
        profile, other = draw(PROFILES), draw(PROFILES)
        if draw(st.booleans()) and profile != other:
            made.append(merge_draft(profile, other, clock))
        else:
            made.append(event_draft(profile, clock, time + draw(st.integers(-20, 20))))
    return made


def counters() -> dict[int, Counter]:
    return {q: Counter(q=q, epoch=1, next_seq=q + 1, time=5 + q, low=q) for q in range(PARTITIONS)}


@given(drafts(), st.integers(0, 60))
def test_rows_are_dense_and_neither_time_nor_low_falls(made: list[Draft], others_low: int) -> None:
    heads = counters()
    rows = assign(made, heads, others_low=others_low, partitions=PARTITIONS)
    for q, before in counters().items():
        mine = [row for row in rows if row.q == q]
        assert [row.seq for row in mine] == list(range(before.next_seq, before.next_seq + len(mine)))
        assert heads[q].next_seq == before.next_seq + len(mine)
        times, lows = [before.time, *(row.time for row in mine)], [before.low, *(row.low for row in mine)]
        assert times == sorted(times)
        assert lows == sorted(lows)
        assert all(row.low <= row.time for row in mine)


@given(drafts(), st.integers(0, 60))
def test_low_never_passes_what_waits_behind_in_the_batch(made: list[Draft], others_low: int) -> None:
    rows = assign(made, counters(), others_low=others_low, partitions=PARTITIONS)
    waiting = [
        draft.clock
        for draft in made
        if not isinstance(draft, UnmergeDraft)
        for _ in range(2 if isinstance(draft, MergeDraft) else 1)
    ]
    for row, clock in zip(rows, waiting, strict=True):
        assert row.low <= max(clock.processed, PARTITIONS)
        assert row.low <= max(others_low, PARTITIONS)
        assert row.time >= clock.time


@given(drafts())
def test_an_event_counts_at_the_earlier_of_its_timestamp_and_its_row(made: list[Draft]) -> None:
    rows = [row for row in assign(made, counters(), others_low=0, partitions=PARTITIONS) if row.kind == "event"]
    events = [draft for draft in made if isinstance(draft, EventDraft)]
    for row, draft in zip(rows, events, strict=True):
        assert row.ts == min(draft.row.ts, row.time)
        assert as_event(row).ts == row.ts


@given(drafts())
def test_both_rows_of_a_merge_carry_one_time_and_the_merge_names_the_tombstone(made: list[Draft]) -> None:
    rows = assign(made, counters(), others_low=0, partitions=PARTITIONS)
    tombstones = [row for row in rows if row.kind == "tombstone"]
    merges = [row for row in rows if row.kind == "merge"]
    for tombstone, merge in zip(tombstones, merges, strict=True):
        assert tombstone.time == merge.time
        loser, winner = decoded(tombstone), decoded(merge)
        assert isinstance(loser, TombstoneRow)
        assert isinstance(winner, MergeRow)
        assert (winner.loser, winner.loser_partition, winner.loser_seq) == (
            loser.profile_id,
            tombstone.q,
            tombstone.seq,
        )
        assert loser.into == winner.profile_id


@given(drafts())
def test_counters_to_lock_are_those_that_get_rows_in_ascending_order(made: list[Draft]) -> None:
    rows = assign(made, counters(), others_low=0, partitions=PARTITIONS)
    assert partitions_of(made, PARTITIONS) == sorted({row.q for row in rows})


def test_a_control_row_moves_no_clock() -> None:
    counter = Counter(q=1, epoch=2, next_seq=7, time=50, low=40)
    request = ControlRow(seq=0, epoch=0, time=0, low=0, id="c1", control="define", payload=msgspec.Raw(b'{"x":1}'))
    row = control_row(counter, request)
    assert (row.q, row.seq, row.epoch, row.time, row.low, row.profile_id) == (1, 7, 2, 50, 40, "")
    assert (counter.next_seq, counter.time, counter.low) == (8, 50, 40)
    assert decoded(row) == msgspec.structs.replace(request, seq=7, epoch=2, time=50, low=40)


def test_what_comes_from_no_input_counts_at_its_partitions_time_however_quiet_it_was() -> None:
    heads = {q: Counter(q=q, epoch=1, next_seq=1, time=5, low=90) for q in range(PARTITIONS)}
    draft = event_draft("p1", InputClock(time=0, processed=0), 2**63 - 1)
    [row] = assign([draft], heads, others_low=0, partitions=PARTITIONS)
    assert (row.ts, row.time, row.low) == (90, 90, 90)
    assert as_event(row).ts == 90


def test_rows_go_to_their_profiles_partition() -> None:
    clock = InputClock(time=10, processed=9)
    made: Sequence[Draft] = [event_draft(f"p{n}", clock, 3) for n in range(8)]
    for row in assign(made, counters(), others_low=0, partitions=PARTITIONS):
        assert row.q == partition_of(row.profile_id, PARTITIONS)


def decoded(row: TimelineRow) -> object:
    return decode_profile_event(
        encode_row(seq=row.seq, epoch=row.epoch, time=row.time, low=row.low, payload=row.payload.encode())
    )


def as_event(row: TimelineRow) -> EventRow:
    event = decoded(row)
    assert isinstance(event, EventRow)
    return event
