"""Numbers, time and low of timeline rows (DESIGN §4.2, §4.4), given while the counters are locked (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.instant import Millis
from headrace.contracts.profile_event import (
    ControlRow,
    ErasureRow,
    MergeRow,
    Row,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
)
from headrace.contracts.topics import partition_of
from services.profiles.fold import Draft, EventDraft, InputClock, MergeDraft, UnmergeDraft

MAX_PAYLOAD_BYTES = 960 * 1024
"""A log takes records of 1 MiB: the rest is for numbers and headers."""
_NUMBERS = b',"seq":0,"epoch":0,"time":0,"low":0}'
_NO_NUMBERS = {"seq": 0, "epoch": 0, "time": 0, "low": 0}


_encode = msgspec.json.Encoder().encode
_partition_of = lru_cache(maxsize=16_384)(partition_of)  # asked twice a batch, of customers who come again


class RowTooLarge(HeadraceError, ValueError):
    """A row that no log would take: once committed, nothing behind it in its partition could be published."""


@dataclass(slots=True)
class Counter:
    """An output partition's head: the next row's number and the last row's time; `low` as last given out."""

    q: int
    epoch: int
    next_seq: int
    time: Millis
    low: Millis


class TimelineRow(NamedTuple):
    """A frozen row, in the column order of the table `timeline`. `identifiers` ([[type, value], …], the
    strongest first; empty where it names nobody) and `stated` (`stated.Stated`) are what an unmerge recomputes two
    customers from; they are not published."""

    q: int
    seq: int
    epoch: int
    time: Millis
    low: Millis
    profile_id: str
    kind: str
    event: str | None
    ts: Millis | None
    source: str | None
    message_id: str | None
    traceparent: str | None
    payload: str
    identifiers: str | None = None
    stated: str | None = None


def partitions_of(drafts: Iterable[Draft], partitions: int) -> list[int]:
    """The output partitions that the drafts will touch, ascending: the order in which to lock counters."""
    touched = set()
    for draft in drafts:
        if isinstance(draft, MergeDraft):
            touched.add(_partition_of(draft.loser, partitions))
            touched.add(_partition_of(draft.winner, partitions))
        elif isinstance(draft, UnmergeDraft):
            touched.add(_partition_of(draft.profile_id, partitions))
            touched.add(_partition_of(draft.into, partitions))
        else:
            touched.add(_partition_of(draft.row.profile_id, partitions))
    return sorted(touched)


def assign(
    drafts: Iterable[Draft], counters: Mapping[int, Counter], *, others_low: Millis, partitions: int
) -> list[TimelineRow]:
    """Number the drafts in order and advance `counters`.

    `others_low`: the lowest time up to which every input partition but the batch's own is processed. The
    batch's own counts up to the record before: what waits behind it in the batch is not processed yet.
    """
    rows: list[TimelineRow] = []
    for draft in drafts:
        if isinstance(draft, UnmergeDraft):
            rows.extend(_unmerge(draft, counters, partitions))
            continue
        low = min(others_low, draft.clock.processed)
        if isinstance(draft, MergeDraft):
            rows.extend(_merge(draft, counters, low, partitions))
        else:
            counter = counters[_partition_of(draft.row.profile_id, partitions)]
            rows.append(_event(draft, counter, low))
    return rows


def control_row(counter: Counter, row: ControlRow) -> TimelineRow:
    """A control record takes its partition's previous time and low: it moves no clock."""
    return _number(counter, row, "control", counter.time, counter.low, message_id=row.id)


def erasure_row(counter: Counter, row: ErasureRow) -> TimelineRow:
    """Like a control record: it comes from no input."""
    return _number(counter, row, "erasure", counter.time, counter.low, profile_id=row.profile_id)


def _event(draft: EventDraft, counter: Counter, low: Millis) -> TimelineRow:
    time, row = _time(draft.clock, counter), draft.row
    if row.ts > time:
        row = msgspec.structs.replace(row, ts=time)
    return _number(
        counter,
        row,
        "event",
        time,
        low,
        profile_id=row.profile_id,
        event=row.event,
        ts=row.ts,
        source=row.source,
        message_id=row.message_id,
        traceparent=draft.traceparent,
        identifiers=_encode(draft.identifiers).decode(),
        stated=_encode(draft.stated).decode() if draft.stated is not None else None,
    )


def _merge(draft: MergeDraft, counters: Mapping[int, Counter], low: Millis, partitions: int) -> list[TimelineRow]:
    """Both rows carry one time, the greater: no row of the winner's later history can sort before it."""
    losers = counters[_partition_of(draft.loser, partitions)]
    winners = counters[_partition_of(draft.winner, partitions)]
    time = max(_time(draft.clock, losers), _time(draft.clock, winners))
    tombstone = TombstoneRow(
        **_NO_NUMBERS,
        profile_id=draft.loser,
        into=draft.winner,
        source=draft.source,
        message_id=draft.message_id,
    )
    merge = MergeRow(
        **_NO_NUMBERS,
        profile_id=draft.winner,
        loser=draft.loser,
        loser_partition=losers.q,
        loser_seq=losers.next_seq,
        source=draft.source,
        message_id=draft.message_id,
        traits=draft.traits,
        consents=draft.consents,
        tags=draft.tags,
        user_id=draft.user_id,
    )
    return [
        _merge_part(draft, losers, tombstone, "tombstone", time, low),
        _merge_part(draft, winners, merge, "merge", time, low),
    ]


def _unmerge(draft: UnmergeDraft, counters: Mapping[int, Counter], partitions: int) -> list[TimelineRow]:
    """Both rows carry one time, the greater, as those of a merge."""
    old = counters[_partition_of(draft.profile_id, partitions)]
    new = counters[_partition_of(draft.into, partitions)]
    time = max(old.time, old.low, new.time, new.low)
    shared: dict[str, Any] = {
        **_NO_NUMBERS,
        "id": draft.id,
        "source": draft.source,
        "message_id": draft.message_id,
    }
    traits, consents, tags = draft.taken
    unmerge = UnmergeRow(
        **shared,
        profile_id=draft.profile_id,
        into=draft.into,
        traits=traits,
        consents=consents,
        tags=tags,
        user_id=draft.user_id,
        more=draft.more,
    )
    traits, given_consents, tags = draft.given
    split = SplitRow(
        **shared,
        profile_id=draft.into,
        origin=draft.profile_id,
        traits=traits,
        consents=given_consents,
        tags=tags,
        user_id=draft.into_user_id,
    )
    return [
        _number(
            counter,
            row,
            kind,
            time,
            counter.low,
            profile_id=row.profile_id,
            source=draft.source,
            message_id=draft.message_id,
        )
        for counter, row, kind in ((old, unmerge, "unmerge"), (new, split, "split"))
    ]


def _merge_part(
    draft: MergeDraft, counter: Counter, row: TombstoneRow | MergeRow, kind: str, time: Millis, low: Millis
) -> TimelineRow:
    return _number(
        counter,
        row,
        kind,
        time,
        low,
        profile_id=row.profile_id,
        source=draft.source,
        message_id=draft.message_id,
        traceparent=draft.traceparent,
    )


def _time(clock: InputClock, counter: Counter) -> Millis:
    """No earlier than the row before, nor than what timers may have passed: a quiet partition's last row may be
    hours old when something comes from no input."""
    return max(counter.time, counter.low, clock.time)


def _number(
    counter: Counter,
    row: Row,
    kind: str,
    time: Millis,
    low: Millis,
    *,
    profile_id: str = "",
    event: str | None = None,
    ts: Millis | None = None,
    source: str | None = None,
    message_id: str | None = None,
    traceparent: str | None = None,
    identifiers: str | None = None,
    stated: str | None = None,
) -> TimelineRow:
    seq = counter.next_seq
    counter.next_seq = seq + 1
    counter.time = time
    counter.low = max(counter.low, low)
    return TimelineRow(
        counter.q,
        seq,
        counter.epoch,
        time,
        counter.low,
        profile_id,
        kind,
        event,
        ts,
        source,
        message_id,
        traceparent,
        encode_payload(row),
        identifiers,
        stated,
    )


def encode_payload(row: Row) -> str:
    """The row as JSON without its numbers: what `encode_row` splices them into. Raises RowTooLarge."""
    encoded = _encode(row)
    if len(encoded) > MAX_PAYLOAD_BYTES:
        raise RowTooLarge(f"a row of {len(encoded)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    assert encoded.startswith(b'{"kind":')
    assert encoded.endswith(_NUMBERS)
    return (encoded[: -len(_NUMBERS)] + b"}").decode()
