"""The deterministic fold: rows of a partition in, transitions out (DESIGN §4.4, §4.5).

`now` is the running `low`. An event counts at its `ts`, at once even if that is later than now. Timers due
at T fire, stamped T, in the order (T, profile_id), before the first row or tick with low >= T. No clock, no
randomness, no dependence on where batches end: replaying the same rows gives the same transitions.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from headrace.contracts import ids
from headrace.contracts.profile_event import (
    ControlRow,
    ErasureRow,
    EventRow,
    MergeRow,
    SplitRow,
    TombstoneRow,
    UnmergeRow,
)
from headrace.contracts.segment_change import ChangeAction, ChangeReason
from services.segmenter.catalog import Sweep
from services.segmenter.change import Occasion, Person, Transition, person
from services.segmenter.computation import Computation
from services.segmenter.computed import ComputedTrait
from services.segmenter.computing import Computing
from services.segmenter.customer import Customer, StatingRow, changed_at, trait_changes
from services.segmenter.leaves import EventLeaf, Segment
from services.segmenter.plan import Plan
from services.segmenter.state import Admission, flips, forget, rearm, rearm_leaves, truths, wake
from services.segmenter.timed import TimedLeaf

Cause = tuple[str, ...]
Due = tuple[int, str]

_NOTHING: Mapping[str, Any] = {}
_NOBODY: Mapping[str, TimedLeaf] = {}


class Clock(msgspec.Struct):
    """How far a partition's fold has come: the last row applied, `now`, transitions and computations so far."""

    seq: int = 0
    now: int = 0
    transitions: int = 0
    computed: int = 0


class Merged(msgspec.Struct, frozen=True):
    """What the combined history of a merge says: a customer with its journals, the loser as it was, and (found
    when asked for) by segment the entry that the combined history itself would have led to. `parted`: something
    was taken out of one of the two histories, or had been taken out of another one."""

    combined: Customer
    loser: Customer
    entries: Callable[[], Mapping[str, Transition]]
    parted: bool


class Remaining(msgspec.Struct, frozen=True):
    """What an unmerge leaves a customer, or gives it: a customer with its journals, and the events themselves, in
    the fold's order."""

    customer: Customer
    events: Sequence[EventRow]


class Past(Protocol):
    """Histories read for the merges and unmerges of a batch."""

    def merged(self, row: MergeRow, plan: Plan, now: int) -> Merged:
        """The combined history up to this merge row, folded for `plan` and evaluated at `now`."""
        ...

    def remaining(self, row: UnmergeRow | SplitRow, plan: Plan, now: int) -> Remaining:
        """The history after this row, kept for `plan` at `now`."""
        ...


class Fold:
    """Applies rows to customers. `customers` must hold everyone whom the rows touch or whose deadline is in
    `due`; whom it does not hold is new. Changed customers are in `changed`, forgotten ones in `dropped`.

    `limit`: deadlines later than this one are not loaded; the fold stops before it would need them.
    """

    def __init__(
        self,
        plan: Plan,
        customers: dict[str, Customer],
        clock: Clock,
        *,
        due: Iterable[Due] = (),
        limit: Due | None = None,
        past: Past | None = None,
    ) -> None:
        self.plan = plan
        self.customers = customers
        self.clock = clock
        self.transitions: list[Transition] = []
        self.computations: list[Computation] = []
        self.changed: set[str] = set()
        self.dropped: set[str] = set()
        self._timers = list(due)
        heapq.heapify(self._timers)
        self._limit = limit
        self._past = past
        self.step = 0

    def advance(self, low: int, *, most: int | None = None) -> bool:
        """Fire every timer due at or before `low` and move `now` there. False when it had to stop before:
        at the limit of what is loaded, or after `most` outputs."""
        timers = self._timers
        while timers and timers[0][0] <= low:
            if self._limit is not None and timers[0] > self._limit:
                return False
            if most is not None and len(self.transitions) + len(self.computations) >= most:
                return False
            self._fire(*heapq.heappop(timers))
        if self._limit is not None and low >= self._limit[0]:
            return False
        if low > self.clock.now:
            self.clock.now = low
        return True

    def apply(self, row: StatingRow | TombstoneRow | ErasureRow) -> None:
        """Apply a row of a customer; `advance(row.low)` has returned True before."""
        self.clock.seq = row.seq
        self.step = 0
        if isinstance(row, EventRow):
            self._event(row)
        elif isinstance(row, MergeRow):
            self._merge(row)
        elif isinstance(row, UnmergeRow | SplitRow):
            self._unmerge(row)
        else:
            self._drop(row)

    def sweep(self, row: ControlRow, sweep: Sweep, profile_ids: Sequence[str]) -> None:
        """Bring these customers, ascending, in line with what a control record changed (DESIGN §4.6). `plan` is
        already the one after the record. The caller sets `clock.seq` when the whole partition is swept."""
        segments = swept(self.plan, sweep)
        journals, leaves = self._fresh(segments)
        at = max(self.clock.now, row.time)
        for profile_id in profile_ids:
            customer = self.customers.get(profile_id)
            if customer is None:
                continue
            self.step = 0
            due, outputs = customer.due, (self.clock.transitions, self.clock.computed)
            cause = ids.record_cause(profile_id, row.seq)
            self._sweep_traits(profile_id, customer, sweep, at, cause, row.seq)
            change = _Change(self, profile_id, customer, at, sweep.reason, cause, None, row.seq)
            left = self._end(change, customer, sweep)
            self._reconcile(change, customer, segments)
            changed = rearm_leaves(self.plan, customer, self.clock.now, journals, leaves) or left
            if sweep.stale:
                changed = forget(self.plan, customer) or changed
            moved = (self.clock.transitions, self.clock.computed) != outputs
            if changed or moved or customer.due != due:
                self._armed(profile_id, customer, due)

    def _sweep_traits(
        self, profile_id: str, customer: Customer, sweep: Sweep, at: int, cause: Cause, row_seq: int
    ) -> None:
        """Publish the customer's values of what is new, and that there is none any more of what is gone."""
        if not sweep.traits and not sweep.gone_traits:
            return
        new = [trait for _, trait in sorted(self.plan.computed.items()) if trait.id in sweep.traits]
        with self._computing(profile_id, customer, at, sweep.reason, cause, None, row_seq) as computing:
            computing.withdraw(sorted(sweep.gone_traits.items()))
            computing.compare(new, again=True)

    @contextmanager
    def _computing(
        self,
        profile_id: str,
        customer: Customer,
        at: int,
        reason: ChangeReason,
        cause: Cause,
        cause_message_id: str | None,
        row_seq: int,
    ) -> Iterator[Computing]:
        """What happens to the customer's computed traits, before its segments move."""
        computing = Computing(
            self.clock,
            profile_id,
            customer,
            at=at,
            reason=reason,
            cause=cause,
            cause_message_id=cause_message_id,
            row_seq=row_seq,
            step=self.step,
        )
        yield computing
        self.step = computing.step
        self.computations += computing.made

    def _end(self, change: "_Change", customer: Customer, sweep: Sweep) -> bool:
        """End the memberships in what is gone. True when the customer was, or had been, in any of it."""
        left = False
        for segment_id, (name, version) in sorted(sweep.gone.items()):
            if segment_id in customer.members:
                change.leave(segment_id, name, version)
            if segment_id in customer.left:
                customer.left.remove(segment_id)
                left = True
        return left

    def _reconcile(self, change: "_Change", customer: Customer, segments: Iterable[Segment]) -> None:
        for segment in segments:
            inside = segment.truth(customer, self.clock.now)
            if inside != (segment.id in customer.members):
                change.move(segment, inside)

    def _fresh(self, segments: Iterable[Segment]) -> tuple[set[str], set[str]]:
        """The journals and the leaves whose deadlines may be new with these segments."""
        journals: set[str] = set()
        leaves: set[str] = set()
        for leaf in (leaf for segment in segments for leaf in segment.leaves):
            if isinstance(leaf, EventLeaf):
                journals.add(leaf.aggregate.atom.journal)
            elif isinstance(leaf, TimedLeaf) and leaf.id in self.plan.timed:
                leaves.add(leaf.id)
        return journals, leaves

    def repair(self, row: ControlRow, states: Mapping[str, Customer], segment_ids: Collection[str]) -> None:
        """Put customers right: `states` are they as their histories say, without memberships. Of the segments (all
        if none is named) each is entered or left where that is due."""
        wanted = self.plan.dependents(segment_ids) if segment_ids else self.plan.segments
        segments = [segment for segment in self.plan.ordered(wanted) if segment.id in self.plan.segments]
        at = max(self.clock.now, row.time)
        for profile_id, state in sorted(states.items()):
            self.step = 0
            customer = self.customers.get(profile_id)
            due = customer.due if customer is not None else 0
            if customer is not None:
                state.members, state.left, state.scores = customer.members, customer.left, customer.scores
                state.computed, state.stored_due = customer.computed, customer.stored_due
            self.customers[profile_id] = state
            cause = ids.record_cause(profile_id, row.seq)
            with self._computing(profile_id, state, at, "repair", cause, None, row.seq) as computing:
                computing.compare(self._traits_in_order())
            self._reconcile(_Change(self, profile_id, state, at, "repair", cause, None, row.seq), state, segments)
            rearm(self.plan, state, self.clock.now)
            self._armed(profile_id, state, due)

    def _traits_in_order(self) -> list[ComputedTrait]:
        return [trait for _, trait in sorted(self.plan.computed.items())]

    def rearm(self, profile_ids: Iterable[str]) -> None:
        """Find these customers' deadlines again: the plan is another one."""
        for profile_id in profile_ids:
            customer = self.customers.get(profile_id)
            if customer is not None:
                self._rearm(profile_id, customer, before=customer.due)

    def _event(self, row: EventRow) -> None:
        plan, customer, now = self.plan, self.customers.get(row.profile_id), self.clock.now
        touched: dict[str, Segment] = {}
        if customer is None:
            customer = self._new(row.profile_id)
            touched.update(plan.when_new)
        due = customer.due
        admission = Admission(plan, row, now)
        watchers = admission.watchers
        changes = trait_changes(row) if row.traits or row.consents or row.tags else _NOTHING
        by_trait = self._watching(changes) if changes and plan.timed_by_trait else _NOBODY
        if watchers or by_trait:
            leaves = list({**by_trait, **watchers}.values())
            before = truths(leaves, customer, now)
        by_event = flipped = admission.admit(customer) if not admission.vain else {}
        if changes:
            flipped = by_event | self._traits(row, changes, customer)
        customer.take_identity(row)
        if plan.computed and (computed := admission.computed()):
            self._compute(row, customer, computed)
        if watchers or by_trait:
            turned = flips(leaves, before, customer, now)
            flipped = flipped | turned
            seen = {leaf.index for leaf in watchers.values()}
            by_event = by_event | {index: truth for index, truth in turned.items() if index in seen}
        if flipped or touched:
            self._move(row, customer, self._moved(customer, flipped, touched), by_event)
        self._armed(row.profile_id, customer, due)

    def _compute(self, row: EventRow, customer: Customer, computed: Iterable[ComputedTrait]) -> None:
        at, cause = max(self.clock.now, row.ts), ids.event_cause(row.source, row.message_id)
        reason: ChangeReason = "import" if row.imported else "event"
        who, message_id = row.profile_id, row.message_id
        with self._computing(who, customer, at, reason, cause, message_id, row.seq) as computing:
            computing.compare(computed)

    def _watching(self, changes: Mapping[str, Any]) -> dict[str, TimedLeaf]:
        """The leaves that look as a whole at one of these traits."""
        known = self.plan.timed_by_trait
        return {leaf.id: leaf for name in changes for leaf in known.get(name, ())}

    def _traits(self, row: StatingRow, changes: Mapping[str, Any], customer: Customer) -> dict[int, bool]:
        """Apply what the row changed; return the leaves that flip, each with its new truth."""
        plan = self.plan
        before = {name: customer.traits.get(name) for name in changes if name in plan.traits}
        customer.take_traits(changes, changed_at(row), plan.kept_traits, plan.lookbacks, self.clock.now)
        flipped: dict[int, bool] = {}
        for name, was in before.items():
            flipped |= plan.traits[name].flipped(was, customer.traits.get(name), plan.mismatches)
        return flipped

    def _moved(
        self, customer: Customer, flipped: Mapping[int, bool], touched: Mapping[str, Segment]
    ) -> Iterable[tuple[Segment, bool]]:
        """The segments that the customer enters (True) or leaves, each behind what it asks for and in the order of
        their ids, now that these leaves have flipped; `touched` may have changed besides. Whoever asks for a
        segment is looked at once it has moved: take each move before the next."""
        if self.plan.referring:
            return self._cascade(customer, flipped, touched)
        reached = [self.plan.reached[index][truth] for index, truth in flipped.items()]
        if len(reached) == 1 and not touched:
            lost, maybe = reached[0]
        else:
            lost, maybe = {}, dict(touched)
            for reach in reached:
                if reach.lost:
                    lost |= reach.lost
                if reach.open:
                    maybe |= reach.open
        members, now = customer.members.segments, self.clock.now
        moved = [(lost[key], False) for key in lost.keys() & members]
        for key, segment in maybe.items():
            if key not in lost and (inside := segment.truth(customer, now)) is not (key in members):
                moved.append((segment, inside))
        if len(moved) > 1:
            moved.sort(key=_id_of)
        return moved

    def _cascade(
        self, customer: Customer, flipped: Mapping[int, bool], touched: Mapping[str, Segment]
    ) -> Iterator[tuple[Segment, bool]]:
        """The same, where segments ask for segments."""
        plan, now = self.plan, self.clock.now
        waiting = {(segment.rank, key): segment for key, segment in touched.items()}
        for index, truth in flipped.items():
            for segment in _reached(plan, index, truth):
                waiting[segment.rank, segment.id] = segment
        moved: set[str] = set()
        while waiting:
            segment = waiting.pop(min(waiting))
            inside = segment.truth(customer, now)
            if inside is (segment.id in customer.members) or segment.id in moved:
                continue
            moved.add(segment.id)
            yield segment, inside
            for index, member in plan.referring.get(segment.id, ()):
                for other in _reached(plan, index, inside is member):
                    waiting[other.rank, other.id] = other

    def _move(
        self,
        row: EventRow,
        customer: Customer,
        moved: Iterable[tuple[Segment, bool]],
        by_event: Mapping[int, bool],
    ) -> None:
        at = max(self.clock.now, row.ts)
        cause = ids.event_cause(row.source, row.message_id)
        changes: dict[ChangeReason, _Change] = {}
        deciding = set(by_event)
        for segment, inside in moved:
            stated = row.traits or row.consents or row.tags
            decided = not stated or not segment.places.keys().isdisjoint(deciding)
            reason: ChangeReason = "import" if row.imported else "event" if decided else "trait"
            if reason not in changes:
                changes[reason] = _Change(
                    self, row.profile_id, customer, at, reason, cause, row.message_id, row.seq
                )
            changes[reason].move(segment, inside)
            if decided:
                deciding.update(index for index, _ in self.plan.referring.get(segment.id, ()))

    def _fire(self, due: int, profile_id: str) -> None:
        customer = self.customers.get(profile_id)
        if customer is None or customer.due != due:
            return  # armed for another instant since
        self.clock.now = due
        self.step = 0
        computed = self._awake(customer, due)
        woken = wake(self.plan, customer, due)
        if computed:
            cause = ids.timer_cause("", profile_id, due)
            with self._computing(profile_id, customer, due, "time", cause, None, 0) as computing:
                computing.compare(computed)
        flipped = {index: truth for index, truth, _ in woken}
        origins = {index: origin for index, _, origin in reversed(woken)}
        for segment, inside in self._moved(customer, flipped, {}) if flipped else ():
            places = segment.places
            decided = min((index for index in origins if index in places), key=places.__getitem__)
            source, message_id = origins[decided] or ("", profile_id)
            cause = ids.timer_cause(source, message_id, due)
            known = message_id if origins[decided] else None
            _Change(self, profile_id, customer, due, "time", cause, known, 0).move(segment, inside)
            for index, _ in self.plan.referring.get(segment.id, ()):
                origins.setdefault(index, origins[decided])
        self._armed(profile_id, customer, due)

    def _awake(self, customer: Customer, due: int) -> list[ComputedTrait]:
        """The traits whose value may change now."""
        known = self.plan.computed
        return [known[key] for key in sorted(customer.awake(due)) if key in known] if known else []

    def _drop(self, row: TombstoneRow | ErasureRow) -> None:
        customer = self.customers.pop(row.profile_id, None)
        if customer is None:
            return
        self.changed.discard(row.profile_id)
        self.dropped.add(row.profile_id)
        at = max(self.clock.now, row.time)
        # not the event's: the winner may end the same entry by the same event, and must be heard as well
        cause = ids.record_cause(row.profile_id, row.seq)
        reason: ChangeReason = "merge" if isinstance(row, TombstoneRow) else "erasure"
        message_id = row.message_id if isinstance(row, TombstoneRow) else None
        with self._computing(row.profile_id, customer, at, reason, cause, message_id, row.seq) as computing:
            computing.withdraw_all()
        change = _Change(self, row.profile_id, customer, at, reason, cause, message_id, row.seq)
        for segment in self._segments_of(customer.members):
            change.leave(segment.id, segment.name, segment.version)

    def _merge(self, row: MergeRow) -> None:
        if self._past is None:
            raise RuntimeError("a merge needs the histories of both customers")
        merged = self._past.merged(row, self.plan, self.clock.now)
        customer = self.customers.get(row.profile_id) or self._new(row.profile_id)
        customer.take_identity(row)
        self._traits(row, trait_changes(row), customer)
        customer.take_events(merged.combined)
        at = max(self.clock.now, row.time)
        # the event that caused it may change the same traits in a row of its own
        own = ids.record_cause(row.profile_id, row.seq)
        with self._computing(row.profile_id, customer, at, "merge", own, row.message_id, row.seq) as computing:
            computing.compare(self._traits_in_order())
        cause = ids.event_cause(row.source, row.message_id)
        change = _Change(self, row.profile_id, customer, at, "merge", cause, row.message_id, row.seq)
        for segment in self.plan.ordered({**self.plan.segments, **self.plan.paused}):
            change.reconcile(segment, merged)
        self._rearm(row.profile_id, customer, before=0)

    def _unmerge(self, row: UnmergeRow | SplitRow) -> None:
        if self._past is None:
            raise RuntimeError("an unmerge needs the history that is left")
        customer = self.customers.get(row.profile_id) or self._new(row.profile_id)
        self._traits(row, trait_changes(row), customer)
        if isinstance(row, UnmergeRow) and row.more:
            self.changed.add(row.profile_id)
            return  # no transition comes of a history that is half taken apart
        remaining = self._past.remaining(row, self.plan, self.clock.now)
        customer.identify_again(row.user_id, remaining.events)
        customer.take_events(remaining.customer)
        at = max(self.clock.now, row.time)
        cause = ids.record_cause(row.profile_id, row.seq)
        with self._computing(row.profile_id, customer, at, "unmerge", cause, row.message_id, row.seq) as computing:
            computing.compare(self._traits_in_order())
        change = _Change(self, row.profile_id, customer, at, "unmerge", cause, row.message_id, row.seq)
        for segment in self.plan.ordered(self.plan.segments):
            inside = segment.truth(customer, self.clock.now)
            if inside is not (segment.id in customer.members):
                change.move(segment, inside)
        self._rearm(row.profile_id, customer, before=0)

    def _segments_of(self, segment_ids: Iterable[str]) -> list[Segment]:
        known = {**self.plan.segments, **self.plan.paused}
        return [known[key] for key in sorted(segment_ids) if key in known]

    def _new(self, profile_id: str) -> Customer:
        customer = self.customers[profile_id] = Customer(profile_id)
        self.dropped.discard(profile_id)
        return customer

    def _rearm(self, profile_id: str, customer: Customer, *, before: int) -> None:
        """Find the deadlines again. `before`: what the customer was last known to be due at; 0 once its events
        were another's."""
        rearm(self.plan, customer, self.clock.now)
        self._armed(profile_id, customer, before)

    def _armed(self, profile_id: str, customer: Customer, before: int) -> None:
        """The customer has changed, and its deadline may no longer be what it was `before`."""
        self.changed.add(profile_id)
        if customer.due and customer.due != before:
            heapq.heappush(self._timers, (customer.due, profile_id))


def swept(plan: Plan, sweep: Sweep) -> list[Segment]:
    """The published segments that a sweep may move, in order."""
    named = {*sweep.segments, *sweep.gone}
    if sweep.population:
        named |= {key for key, segment in plan.segments.items() if sweep.population in segment.populations}
    if computed := {*sweep.traits, *sweep.gone_traits}:
        named |= {key for key, segment in plan.segments.items() if not computed.isdisjoint(segment.computed)}
    return [segment for segment in plan.ordered(plan.dependents(named)) if segment.id in plan.segments]


def _reached(plan: Plan, index: int, truth: bool) -> Iterator[Segment]:
    """The published segments that a leaf's new truth may move."""
    reach = plan.reached[index][truth]
    yield from reach.lost.values()
    yield from reach.open.values()


def _id_of(moved: tuple[Segment, bool]) -> str:
    return moved[0].id


class _Change:
    """What one cause does to one customer's memberships."""

    def __init__(
        self,
        fold: Fold,
        profile_id: str,
        customer: Customer,
        at: int,
        reason: ChangeReason,
        cause: Cause,
        cause_message_id: str | None,
        row_seq: int,
    ) -> None:
        self._fold = fold
        self._profile_id = profile_id
        self._customer = customer
        self._at = at
        self._reason: ChangeReason = reason
        self._cause = cause
        self._cause_message_id = cause_message_id
        self._row_seq = row_seq
        self._occasion: Occasion | None = None

    def move(self, segment: Segment, inside: bool) -> None:
        if inside:
            self.enter(segment)
        else:
            self.leave(segment.id, segment.name, segment.version)

    def enter(self, segment: Segment) -> None:
        entry = ids.entry_id(segment.id, segment.version, self._cause)
        self._customer.members.begin(segment.id, segment.version, self._at, entry, self._cause_message_id)
        self._record(segment.id, segment.name, segment.version, "entered", entry)

    def leave(self, segment_id: str, name: str, version: int) -> None:
        entry = self._customer.members.end(segment_id)
        self._leave_behind(segment_id)
        self._record(segment_id, name, version, "exited", entry)

    def reconcile(self, segment: Segment, merged: Merged) -> None:
        """The rules of DESIGN §4.5 for a merge."""
        members = self._customer.members
        own, theirs = members.get(segment.id), merged.loser.members.get(segment.id)
        held = [entry for entry in (own, theirs) if entry is not None]
        paused = segment.id in self._fold.plan.paused
        inside = bool(held) if paused else segment.truth(self._customer, self._fold.clock.now)
        if inside and held:
            earlier = min(held, key=lambda entry: (entry.entered_at, entry.entry_id))
            members[segment.id] = earlier
            if own is None:
                self._record(segment.id, segment.name, segment.version, "entered", earlier.entry_id)
        elif inside:
            self._enter_combined(segment, merged.entries().get(segment.id), merged)
        else:
            if members.pop(segment.id, None) is not None:
                self._leave_behind(segment.id)
            for entry_id in sorted({entry.entry_id for entry in held}):
                self._record(segment.id, segment.name, segment.version, "exited", entry_id)

    def _enter_combined(self, segment: Segment, entry: Transition | None, merged: Merged) -> None:
        """Neither was a member, together they are: an ordinary entry, by the event that decided it. A customer
        who has left before may have had that very entry: it gets one of this record's own, or consumers, who
        know the entry's messageId, would drop it. Likewise where an event is another customer's than it was: that
        one may have the entry still. Who was taken apart, left by that and is one again does nothing new."""
        left = segment.id in self._customer.left
        if entry is not None and not left and not merged.parted:
            entry_id = entry.entry_id
        else:
            entry_id = ids.entry_id(segment.id, segment.version, ids.record_cause(self._profile_id, self._row_seq))
        reason: ChangeReason = "event" if entry is None else entry.reason
        if merged.parted and (left or segment.id in merged.loser.left):
            reason = "merge"
        cause_message_id = self._cause_message_id if entry is None else entry.cause_message_id
        self._customer.members.begin(segment.id, segment.version, self._at, entry_id, cause_message_id)
        occasion = msgspec.structs.replace(self._common(), reason=reason, cause_message_id=cause_message_id)
        self._record(segment.id, segment.name, segment.version, "entered", entry_id, occasion)

    def _leave_behind(self, segment_id: str) -> None:
        if segment_id not in self._customer.left:
            self._customer.left.append(segment_id)

    def _common(self) -> Occasion:
        if self._occasion is None:
            row_seq, clock = self._row_seq, self._fold.clock
            self._occasion = Occasion(
                self._profile_id,
                self._reason,
                self._at,
                self._cause_message_id,
                row_seq,
                row_seq or clock.seq,
                clock.now,
                Person() if self._reason == "erasure" else person(self._customer),
            )
        return self._occasion

    def _record(
        self,
        segment_id: str,
        name: str,
        version: int,
        action: ChangeAction,
        entry: str,
        occasion: Occasion | None = None,
    ) -> None:
        fold = self._fold
        fold.clock.transitions += 1
        fold.step += 1
        message_id = (
            ids.entered_message_id(entry, self._profile_id)
            if action == "entered"
            else ids.exited_message_id(entry, self._cause)
        )
        fold.transitions.append(
            Transition(
                occasion or self._common(),
                segment_id,
                name,
                version,
                action,
                entry,
                message_id,
                fold.clock.transitions,
                fold.step,
            )
        )
