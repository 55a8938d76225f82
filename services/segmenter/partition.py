"""One partition at work: batches of rows become conditional commits (DESIGN §4.1, §4.6).

A record's effects may take many commits: timers that were due before it, a definition's sweep over all
customers. Between any two of them the process may die; the watermark says where to go on.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from headrace.contracts.errors import HeadraceError
from headrace.contracts.profile_event import (
    ControlRow,
    ErasureRow,
    EventRow,
    MergeRow,
    SplitRow,
    Tick,
    TombstoneRow,
    UnmergeRow,
)
from headrace.runtime.contiguity import Verdict, judge
from services.segmenter.catalog import Catalog, Sweep, Version
from services.segmenter.change import Position, Transition, parse_position
from services.segmenter.commit import (
    Commit,
    ComputedOutput,
    Fenced,
    Incoming,
    Output,
    StateStore,
    Timeline,
    Watermark,
)
from services.segmenter.computation import Computation
from services.segmenter.customer import Customer, StatingRow
from services.segmenter.fold import Clock, Fold, swept
from services.segmenter.held import HeldLeaf
from services.segmenter.history import plan_of, versions_in
from services.segmenter.known import CAPACITY, Known
from services.segmenter.observer import Observer
from services.segmenter.plan import Parts, Plan, missing
from services.segmenter.scores import cut_ranges, note_scores
from services.segmenter.state import rearm_leaves
from services.segmenter.timed import NEVER

CHUNK = 500  # customers, timers and, twice that, transitions in one commit: a few milliseconds of Redis

TURN = 125
"""Customers that are prepared in one turn: what has arrived meanwhile waits so long and no longer."""

REPAIR = "repair"
"""The control that puts customers right."""

CustomerRow = StatingRow | TombstoneRow | ErasureRow


class NewEpoch(HeadraceError):
    """The input has a new epoch: what is held must be rebuilt from history."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"epoch {epoch}")


class Partition:
    """The state of one partition between commits. Open with `opened`; not safe for concurrent calls."""

    def __init__(
        self,
        number: int,
        store: StateStore,
        timeline: Timeline,
        observer: Observer,
        *,
        mark: Watermark,
        catalog: Catalog,
        later: Sequence[tuple[str, Version]] = (),
        chunk: int = CHUNK,
        known: int = CAPACITY,
    ) -> None:
        self.on_commit: Callable[[], None] = lambda: None
        """Called behind every commit: a record may take many of them."""
        self._q = number
        self._chunk = chunk
        self._store = store
        self._timeline = timeline
        self._observer = observer
        self._stored = mark
        self.mark = mark
        self.catalog = catalog
        self._later = later
        self._compiled: Plan | None = None
        self._settled: tuple[Catalog, Plan | None] = catalog, None  # before the definitions last changed
        self._everybody: list[str] | None = None
        self._parts: Parts | None = None
        self._none_due_before = 0
        self._known = Known(known)

    @classmethod
    async def opened(
        cls,
        number: int,
        store: StateStore,
        timeline: Timeline,
        observer: Observer,
        *,
        chunk: int = CHUNK,
        known: int = CAPACITY,
    ) -> "Partition | None":
        """The partition as stored; None when there is nothing stored (see rebuild.py). It keeps up to `known`
        customers from batch to batch."""
        loaded = await store.load(number)
        if loaded is None:
            return None
        mark, catalog = loaded
        later = []
        if mark.seq < mark.lookahead:
            later = versions_in(row for row in await timeline.controls(number) if row.seq <= mark.lookahead)
        return cls(
            number, store, timeline, observer, mark=mark, catalog=catalog, later=later, chunk=chunk, known=known
        )

    def count_from(self, transitions: int, computed: int) -> None:
        """Go on numbering behind these: rows that were redacted made more than they make now."""
        self.mark = msgspec.structs.replace(
            self.mark,
            transitions=max(transitions, self.mark.transitions),
            computed=max(computed, self.mark.computed),
        )

    @property
    def uncommitted(self) -> bool:
        """Time has moved and nothing else: not worth a commit of its own yet."""
        return self.mark != self._stored

    async def process(self, records: Sequence[Incoming]) -> None:
        """Apply records in order. Raises Fenced (reopen), or NewEpoch (rebuild)."""
        rest = list(self._judged(records))
        while rest:
            head = rest[0].row
            if isinstance(head, ControlRow):
                await self._control(rest[0], head)
                done = 1
            else:
                done = await self._batch(rest)
            del rest[:done]
        if records:
            offset = max(self.mark.offset, records[-1].next_offset)
            self.mark = msgspec.structs.replace(self.mark, offset=offset)

    def go_on_from(self, offset: int) -> None:
        """Read the log from `offset` on: what lies before it is applied already."""
        self.mark = msgspec.structs.replace(self.mark, offset=offset)

    async def flush(self) -> None:
        """Commit the instant and offset reached, if nothing else has."""
        if self.uncommitted:
            await self._commit(Commit(self.mark))

    async def backfill(self) -> bool:
        """Recompute the next customers for the versions in preparation. False when there is nothing to do."""
        if self.mark.backfill is None:
            return False
        parts, everybody = self._unprepared(), await self._everyone()
        start = bisect_right(everybody, self.mark.backfill)
        behind = everybody[start : start + min(self._chunk, TURN)] if parts else []
        if behind:
            mark = msgspec.structs.replace(self.mark, backfill=behind[-1])
            await self._commit_recomputed(mark, behind, self._plan, parts)
            self._observer.backfilling(self._q, self._unready(), done=start + len(behind), total=len(everybody))
            return True
        ready = {key: version.number for key, version in self.catalog.pending()}
        await self._commit(Commit(msgspec.structs.replace(self.mark, backfill=None, ready=ready)))
        self.report()
        return False

    async def _everyone(self) -> list[str]:
        """The customers as they were when the definitions last changed: who comes later is complete from the first
        event on, the plan has the new versions already."""
        if self._everybody is None:
            self._everybody = await self._store.profile_ids(self._q)
        return self._everybody

    def _unready(self) -> dict[str, int]:
        """The versions in preparation that are not complete here."""
        pending = {key: version.number for key, version in self.catalog.pending()}
        return {key: number for key, number in pending.items() if self.mark.ready.get(key) != number}

    def _unprepared(self) -> Parts:
        """What the versions in preparation need and nobody has kept so far."""
        if self._parts is None:
            settled = self.catalog.without_pending(self._unready())
            known, before = self._settled
            if before is None or known != settled:
                before = plan_of(settled, self._later)
            self._parts = missing(before, self._plan)
            self._settled = known, None
        return self._parts

    @property
    def mismatches(self) -> int:
        """Comparisons with a value of another type, since the definitions last changed."""
        return 0 if self._compiled is None else self._compiled.mismatches.count

    @property
    def other_currencies(self) -> int:
        """Events left out of an aggregate for their currency, since the definitions last changed."""
        return 0 if self._compiled is None else self._compiled.mismatches.other_currency

    @property
    def _plan(self) -> Plan:
        """Compiled when first needed: definitions may come by the hundred, with nobody in between."""
        if self._compiled is None:
            self._compiled = plan_of(self.catalog, self._later)
        return self._compiled

    def report(self) -> None:
        """Tell the observer how far the definitions are here."""
        live = {key: version.number for key, version in (*self.catalog.publishing(), *self.catalog.paused())}
        self._observer.definitions(self._q, ready=self.mark.ready, live=live)

    def _judged(self, records: Iterable[Incoming]) -> Iterator[Incoming]:
        """The records that are to be applied: what was seen before is dropped, what comes too early too."""
        epoch, seq = self.mark.epoch, self.mark.seq
        for record in records:
            row = record.row
            if not isinstance(row, Tick) and row.seq == seq + 1 and row.epoch == epoch:
                seq += 1  # as nearly all
                yield record
                continue
            if isinstance(row, Tick):
                if self.mark.swept is not None and seq == self.mark.seq and row.epoch == epoch:
                    continue  # of before the record that is half applied: its time has come and gone
                verdict = judge(epoch, seq, row.epoch, row.seq + 1)
            else:
                verdict = judge(epoch, seq, row.epoch, row.seq)
            if verdict is Verdict.NEW_EPOCH:
                raise NewEpoch(row.epoch)
            if verdict is Verdict.APPLY:
                yield record
            elif verdict is Verdict.GAP:
                self._observer.gap(self._q, seq + 1, row.seq)
            elif not isinstance(row, Tick):
                self._observer.duplicate()

    async def _batch(self, records: Sequence[Incoming]) -> int:
        """Fold records up to the next control row into one commit; return how many are done."""
        size = next((i for i, record in enumerate(records) if isinstance(record.row, ControlRow)), len(records))
        batch = records[:size]
        rows = [row for record in batch if not isinstance(row := record.row, (Tick, ControlRow))]
        if not rows and not await self._anything_due(batch[-1].row.low):
            now = max(self.mark.now, batch[-1].row.low)
            self.mark = msgspec.structs.replace(self.mark, now=now, offset=batch[-1].next_offset)
            return size
        fold = await self._fold(rows, batch[-1].row.low)
        done, most = 0, 2 * self._chunk
        for record in batch:
            row = record.row
            if not fold.advance(row.low, most=most):
                break
            if not isinstance(row, (Tick, ControlRow)):
                fold.apply(row)
            done += 1
        offset = batch[done - 1].next_offset if done else self.mark.offset
        await self._commit_fold(fold, batch[:done], offset=offset)
        return done

    async def _anything_due(self, low: int) -> bool:
        """Whether a deadline has come. The store is asked only when one may have: ticks come all the time."""
        if low >= self._none_due_before:
            first = await self._store.due(self._q, NEVER, 1)
            self._none_due_before = first[0][0] if first else NEVER
        return low >= self._none_due_before

    async def _fold(self, rows: Sequence[CustomerRow], low: int) -> Fold:
        """A fold with everybody loaded whom these rows, or timers up to `low`, concern."""
        due = await self._store.due(self._q, low, self._chunk) if await self._anything_due(low) else []
        touched = {row.profile_id for row in rows} | {profile_id for _, profile_id in due}
        ids = {row.profile_id for row in rows if isinstance(row, MergeRow | UnmergeRow | SplitRow)}
        past = None
        if ids:
            losers = {row.loser for row in rows if isinstance(row, MergeRow)}
            ids |= losers
            past = (await self._timeline.history(sorted(ids), replayed=bool(losers))).on(self._q)
        return Fold(
            self._plan,
            await self._customers(sorted(touched)),
            self._clock(),
            due=due,
            limit=due[-1] if len(due) == self._chunk else None,
            past=past,
        )

    def _clock(self) -> Clock:
        mark = self.mark
        return Clock(mark.seq, mark.now, mark.transitions, mark.computed)

    async def _customers(self, profile_ids: Sequence[str]) -> dict[str, Customer]:
        """Those of the customers that are known, to be changed."""
        found = self._known.take(profile_ids)
        if len(found) < len(profile_ids):
            others = [key for key in profile_ids if key not in found]
            found.update(await self._store.customers(self._q, others))
        return found

    async def _control(self, record: Incoming, row: ControlRow) -> None:
        """Apply a control row: timers before it, its own preparations, then its sweep, chunk by chunk."""
        if self.mark.swept is None:
            await self._fire_until(row.low)
        if row.control == REPAIR:
            await self._repair(record, row)
            return
        catalog, sweep = self.catalog.apply(row)
        for segment_id, version in self.catalog.pending():
            if row.control == "activate" and catalog.slots[segment_id].live == version:
                while self.mark.ready.get(segment_id) != version.number:
                    await self.backfill()  # the record waits until what it activates is complete here
        plan = None if sweep is None else await self._sweep(row, catalog, sweep)
        mark = msgspec.structs.replace(self.mark, seq=row.seq, offset=record.next_offset, swept=None)
        await self._commit(Commit(self._prepared(mark, catalog, row), catalog=catalog))
        self._adopt(catalog, plan)
        self.report()

    async def _fire_until(self, low: int) -> None:
        if not await self._anything_due(low):
            self.mark = msgspec.structs.replace(self.mark, now=max(self.mark.now, low))
            return
        while True:
            fold = await self._fold((), low)
            done = fold.advance(low, most=2 * self._chunk)
            await self._commit_fold(fold, ())
            if done:
                return

    async def _sweep(self, row: ControlRow, catalog: Catalog, sweep: Sweep) -> Plan:
        """Bring the customers in line; return the plan of the new catalog."""
        plan = plan_of(catalog, self._later)
        if self.mark.swept is None:
            await self._complete(plan)
        after = self.mark.swept or ""
        behind = [key for key in await self._candidates(plan, sweep) if key > after]
        for start in range(0, len(behind), self._chunk):
            chunk = behind[start : start + self._chunk]
            self._known.drop(chunk)
            customers = await self._store.customers(self._q, chunk)
            fold = Fold(plan, customers, self._clock())
            fold.sweep(row, sweep, chunk)
            await self._commit_fold(fold, (), swept=chunk[-1])
        return plan

    async def _complete(self, plan: Plan) -> None:
        """Recompute what the plan needs and nobody has kept: hardly ever anything, a definition is prepared before
        it is activated."""
        parts = missing(self._plan, plan)
        if not parts:
            return
        everybody = await self._store.profile_ids(self._q)
        for start in range(0, len(everybody), self._chunk):
            await self._commit_recomputed(self.mark, everybody[start : start + self._chunk], plan, parts)

    async def _candidates(self, plan: Plan, sweep: Sweep) -> list[str]:
        """Whom a sweep may concern, ascending: of new cut points only who lies between an old and a new one,
        unless somebody looks back by them."""
        if not (swept(plan, sweep) or sweep.gone or sweep.stale or sweep.traits or sweep.gone_traits):
            return []
        if sweep.cuts is None or not _only_now(plan, sweep.population):
            return await self._store.profile_ids(self._q)
        return await self._store.scored(self._q, sweep.population, cut_ranges(*sweep.cuts))

    async def _repair(self, record: Incoming, row: ControlRow) -> None:
        """Put the named customers right, from their whole histories."""
        wanted = decode_repair(row.payload)
        ids = sorted(set(wanted.profile_ids))
        history = await self._timeline.history(ids)
        states = {
            key: history.state(self._plan, key, self.mark.seq + 1, self.mark.now)
            for key in ids
            if history.partition_of(key, self.mark.seq + 1) == self._q
        }
        customers = await self._customers(sorted(states))
        fold = Fold(self._plan, customers, self._clock())
        fold.repair(row, states, wanted.segments)
        fold.clock.seq = row.seq
        await self._commit_fold(fold, (), offset=record.next_offset)

    def _prepared(self, mark: Watermark, catalog: Catalog, row: ControlRow) -> Watermark:
        """The watermark with what the new catalog asks to be recomputed: a definition starts a pass over all
        customers, or starts the one that is running again."""
        pending = {key: version.number for key, version in catalog.pending()}
        ready = {key: number for key, number in mark.ready.items() if pending.get(key) == number}
        if row.seq <= mark.lookahead:
            ready = pending
        backfill = "" if row.control == "define" else mark.backfill
        return msgspec.structs.replace(mark, ready=ready, backfill=backfill if ready != pending else None)

    def _adopt(self, catalog: Catalog, plan: Plan | None) -> None:
        """Go on with these definitions, and with their plan if somebody has made it."""
        self._settled = self.catalog, self._compiled
        self.catalog = catalog
        self._everybody = None
        self._parts = None
        self._compiled = plan
        if self._later and self.mark.seq >= self.mark.lookahead:
            self._later = ()
            self._compiled = None
            self._settled = catalog, None

    async def _commit_recomputed(
        self, mark: Watermark, profile_ids: Sequence[str], plan: Plan, parts: Parts
    ) -> None:
        """Commit these parts of what is kept of these customers, made anew from history."""
        known = await self._store.customers(self._q, profile_ids)
        history = await self._timeline.history(profile_ids, names=parts.names)
        alone, now = plan.part(parts), self.mark.now
        changed: dict[str, Customer | None] = {}
        for profile_id, customer in known.items():
            before = customer.pack()
            customer.take_parts(history.state(alone, profile_id, self.mark.seq + 1, now), parts)
            rearm_leaves(plan, customer, now, parts.journals, ())
            if customer.pack() != before:
                changed[profile_id] = customer
        scores = note_scores(plan, changed, now)
        self._known.drop(changed)
        await self._commit(Commit(mark, changed, scores=scores))

    async def _commit_fold(
        self, fold: Fold, records: Sequence[Incoming], *, offset: int | None = None, swept: str | None = None
    ) -> None:
        outputs = self._outputs(fold.transitions, records)
        computed = self._computed_outputs(fold.computations, records)
        mark = msgspec.structs.replace(
            self.mark,
            seq=fold.clock.seq,
            now=fold.clock.now,
            transitions=fold.clock.transitions,
            out_seq=self.mark.out_seq + len(outputs),
            offset=self.mark.offset if offset is None else offset,
            swept=swept,
            computed=fold.clock.computed,
            computed_seq=self.mark.computed_seq + len(computed),
        )
        customers: dict[str, Customer | None] = {key: fold.customers[key] for key in fold.changed}
        customers.update((key, None) for key in fold.dropped)
        scores = note_scores(fold.plan, customers, fold.clock.now) if fold.plan.scored else {}
        await self._commit(Commit(mark, customers, fold.transitions, outputs, scores=scores, computed=computed))
        if swept is None:
            self._known.give_back(customers)
        self._observer.committed(self._q, records, fold.transitions)

    def _outputs(self, transitions: Sequence[Transition], records: Sequence[Incoming]) -> list[Output]:
        loud = _loud(transitions, self.mark.silent_until)
        if not loud:
            return []
        traces, receipts, first = _traces(records), _receipts(records), self.mark.out_seq + 1
        return [
            Output(first + i, change, traces.get(change.row_seq), receipts.get(change.row_seq, 0))
            for i, change in enumerate(loud)
        ]

    def _computed_outputs(
        self, computations: Sequence[Computation], records: Sequence[Incoming]
    ) -> list[ComputedOutput]:
        if not computations:
            return []
        loud = _loud(computations, self.mark.computed_until)
        traces, first = _traces(records), self.mark.computed_seq + 1
        return [ComputedOutput(first + i, made, traces.get(made.occasion.row_seq)) for i, made in enumerate(loud)]

    async def _commit(self, commit: Commit) -> None:
        try:
            await self._store.commit(self._q, self._stored, commit)
        except Fenced:
            self._observer.fenced()
            raise
        self._stored = self.mark = commit.mark
        self.on_commit()
        armed = [customer.due for customer in commit.customers.values() if customer is not None and customer.due]
        self._none_due_before = min([self._none_due_before, *armed])


class Repair(msgspec.Struct, frozen=True):
    """Payload of the control `repair`: these customers, of these segments (none: all)."""

    profile_ids: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


def decode_repair(payload: bytes | msgspec.Raw) -> Repair:
    """What cannot be read asks for nothing, on every replay alike."""
    try:
        wanted = msgspec.json.decode(payload, type=Repair)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return Repair()
    known = tuple(key for key in wanted.profile_ids if "\0" not in key)  # Postgres has no such text
    return msgspec.structs.replace(wanted, profile_ids=known)


def _only_now(plan: Plan, population: str) -> bool:
    """Whether nobody looks back by the cut points of this population."""
    return not any(
        isinstance(leaf, HeldLeaf)
        for segment in plan.segments.values()
        if population in segment.populations
        for leaf in segment.leaves
    )


Changes = TypeVar("Changes", Transition, Computation)


def _loud(changes: Sequence[Changes], silent_until: str) -> Sequence[Changes]:
    """Those behind this position: the others are published already."""
    if not silent_until:
        return changes
    return changes[bisect_right(changes, parse_position(silent_until), key=_position) :]  # positions rise


def _traces(records: Sequence[Incoming]) -> dict[int, str]:
    return {record.row.seq: record.traceparent for record in records if record.traceparent is not None}


def _receipts(records: Sequence[Incoming]) -> dict[int, int]:
    return {record.row.seq: record.row.received_at for record in records if isinstance(record.row, EventRow)}


def _position(change: Transition | Computation) -> Position:
    return change.position
