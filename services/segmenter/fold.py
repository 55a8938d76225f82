"""The deterministic fold: rows of a partition in, transitions out (DESIGN §4.4, §4.5).

`now` is the running `low`. An event counts at its `ts`, at once even if that is later than now. Timers due
at T fire, stamped T, in the order (T, profile_id), before the first row or tick with low >= T. No clock, no
randomness, no dependence on where batches end: replaying the same rows gives the same transitions.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from headrace.contracts import ids
from headrace.contracts.profile_event import ControlRow, ErasureRow, EventRow, MergeRow, TombstoneRow
from headrace.contracts.segment_change import ChangeAction, ChangeReason
from services.segmenter.catalog import Sweep
from services.segmenter.change import Occasion, Person, Transition, person
from services.segmenter.customer import Customer
from services.segmenter.leaves import Segment
from services.segmenter.memberships import Membership
from services.segmenter.plan import Plan
from services.segmenter.state import admit, rearm, wake

Cause = tuple[str, ...]
Due = tuple[int, str]


class Clock(msgspec.Struct):
    """How far a partition's fold has come: the last row applied, `now`, and transitions so far."""

    seq: int = 0
    now: int = 0
    transitions: int = 0


class Merged(msgspec.Struct, frozen=True):
    """What the combined history of a merge says: a customer with its journals, who the loser was a member as, and
    (found when asked for) by segment the entry that the combined history itself would have led to."""

    combined: Customer
    loser: Mapping[str, Membership]
    entries: Callable[[], Mapping[str, Transition]]


class Past(Protocol):
    """Histories read for the merges of a batch."""

    def merged(self, row: MergeRow, plan: Plan, now: int) -> Merged:
        """The combined history up to this merge row, folded for `plan` and evaluated at `now`."""
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
        self.changed: set[str] = set()
        self.dropped: set[str] = set()
        self._timers = list(due)
        heapq.heapify(self._timers)
        self._limit = limit
        self._past = past
        self.step = 0

    def advance(self, low: int, *, most: int | None = None) -> bool:
        """Fire every timer due at or before `low` and move `now` there. False when it had to stop before:
        at the limit of what is loaded, or after `most` transitions."""
        timers = self._timers
        while timers and timers[0][0] <= low:
            if self._limit is not None and timers[0] > self._limit:
                return False
            if most is not None and len(self.transitions) >= most:
                return False
            self._fire(*heapq.heappop(timers))
        if self._limit is not None and low >= self._limit[0]:
            return False
        if low > self.clock.now:
            self.clock.now = low
        return True

    def apply(self, row: EventRow | TombstoneRow | MergeRow | ErasureRow) -> None:
        """Apply a row of a customer; `advance(row.low)` has returned True before."""
        self.clock.seq = row.seq
        self.step = 0
        if isinstance(row, EventRow):
            self._event(row)
        elif isinstance(row, MergeRow):
            self._merge(row)
        else:
            self._drop(row)

    def sweep(self, row: ControlRow, sweep: Sweep, profile_ids: Sequence[str]) -> None:
        """Bring these customers, ascending, in line with a definition (DESIGN §4.6). `plan` is already the
        one after the record. The caller sets `clock.seq` when the whole partition is swept."""
        segment = self.plan.segments.get(sweep.segment_id)
        at = max(self.clock.now, row.time)
        for profile_id in profile_ids:
            customer = self.customers.get(profile_id)
            if customer is None:
                continue
            self.step = 0
            inside = segment is not None and not sweep.gone and segment.truth(customer, self.clock.now)
            if inside != (sweep.segment_id in customer.members):
                cause = ids.record_cause(profile_id, row.seq)
                change = _Change(self, profile_id, customer, at, "definition", cause, None, row.seq)
                if segment is not None and inside:
                    change.enter(segment)
                else:
                    change.leave(sweep.segment_id, sweep.version.parse().name, sweep.version.number)
            if sweep.gone and sweep.segment_id in customer.left:
                customer.left.remove(sweep.segment_id)
            self._rearm(profile_id, customer)

    def rearm(self, profile_ids: Iterable[str]) -> None:
        """Find these customers' deadlines again: the plan is another one."""
        for profile_id in profile_ids:
            customer = self.customers.get(profile_id)
            if customer is not None:
                self._rearm(profile_id, customer)

    def _event(self, row: EventRow) -> None:
        plan, customer = self.plan, self.customers.get(row.profile_id)
        touched: dict[str, Segment] = {}
        if customer is None:
            customer = self._new(row.profile_id)
            touched.update(plan.true_when_empty)
        due = customer.due
        by_event = flipped = admit(plan, customer, row, self.clock.now)
        if row.traits:
            flipped = by_event | self._traits(row, customer)
        customer.take_identity(row)
        if flipped or touched:
            moved = self._moved(customer, flipped, touched)
            if moved:
                self._move(row, customer, moved, by_event)
        self._armed(row.profile_id, customer, due)

    def _traits(self, row: EventRow, customer: Customer) -> dict[int, bool]:
        """Apply the row's traits; return the leaves that flip, each with its new truth."""
        before = {name: customer.traits.get(name) for name in row.traits if name in self.plan.traits}
        customer.take_traits(row, self.plan.kept_traits)
        flipped: dict[int, bool] = {}
        for name, was in before.items():
            flipped |= self.plan.traits[name].flipped(was, customer.traits.get(name), self.plan.mismatches)
        return flipped

    def _moved(
        self, customer: Customer, flipped: Mapping[int, bool], touched: Mapping[str, Segment]
    ) -> list[tuple[Segment, bool]]:
        """The segments that the customer enters (True) or leaves, in the order of their ids, now that these leaves
        have flipped; `touched` may have changed besides."""
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
        for segment, inside in moved:
            decided = not row.traits or not segment.places.keys().isdisjoint(by_event)
            reason: ChangeReason = "import" if row.imported else "event" if decided else "trait"
            if reason not in changes:
                changes[reason] = _Change(
                    self, row.profile_id, customer, at, reason, cause, row.message_id, row.seq
                )
            changes[reason].move(segment, inside)

    def _fire(self, due: int, profile_id: str) -> None:
        customer = self.customers.get(profile_id)
        if customer is None or customer.due != due:
            return  # armed for another instant since
        self.clock.now = due
        self.step = 0
        woken = wake(self.plan, customer, due)
        flipped = {index: truth for index, truth, _ in woken}
        for segment, inside in self._moved(customer, flipped, {}) if flipped else ():
            places = segment.places
            _, (source, message_id) = min((places[index], origin) for index, _, origin in woken if index in places)
            cause = ids.timer_cause(source, message_id, due)
            _Change(self, profile_id, customer, due, "time", cause, message_id, 0).move(segment, inside)
        self._armed(profile_id, customer, due)

    def _drop(self, row: TombstoneRow | ErasureRow) -> None:
        customer = self.customers.pop(row.profile_id, None)
        if customer is None:
            return
        self.changed.discard(row.profile_id)
        self.dropped.add(row.profile_id)
        at = max(self.clock.now, row.time)
        # not the event's: the winner may end the same entry by the same event, and must be heard as well
        cause = ids.record_cause(row.profile_id, row.seq)
        if isinstance(row, TombstoneRow):
            change = _Change(self, row.profile_id, customer, at, "merge", cause, row.message_id, row.seq)
        else:
            change = _Change(self, row.profile_id, customer, at, "erasure", cause, None, row.seq)
        for segment in self._segments_of(customer.members):
            change.leave(segment.id, segment.name, segment.version)

    def _merge(self, row: MergeRow) -> None:
        if self._past is None:
            raise RuntimeError("a merge needs the histories of both customers")
        merged = self._past.merged(row, self.plan, self.clock.now)
        customer = self.customers.get(row.profile_id) or self._new(row.profile_id)
        customer.take_identity(row)
        customer.take_traits(row, self.plan.kept_traits)
        customer.take_journals(merged.combined)
        at = max(self.clock.now, row.time)
        cause = ids.event_cause(row.source, row.message_id)
        change = _Change(self, row.profile_id, customer, at, "merge", cause, row.message_id, row.seq)
        for segment in self._segments_of({**self.plan.segments, **self.plan.paused}):
            change.reconcile(segment, merged)
        self._rearm(row.profile_id, customer)

    def _segments_of(self, segment_ids: Iterable[str]) -> list[Segment]:
        known = {**self.plan.segments, **self.plan.paused}
        return [known[key] for key in sorted(segment_ids) if key in known]

    def _new(self, profile_id: str) -> Customer:
        customer = self.customers[profile_id] = Customer()
        self.dropped.discard(profile_id)
        return customer

    def _rearm(self, profile_id: str, customer: Customer) -> None:
        due = customer.due
        rearm(self.plan, customer, self.clock.now)
        self._armed(profile_id, customer, due)

    def _armed(self, profile_id: str, customer: Customer, before: int) -> None:
        """The customer has changed, and its deadline may no longer be what it was `before`."""
        self.changed.add(profile_id)
        if customer.due and customer.due != before:
            heapq.heappush(self._timers, (customer.due, profile_id))


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
        own, theirs = members.get(segment.id), merged.loser.get(segment.id)
        held = [entry for entry in (own, theirs) if entry is not None]
        paused = segment.id in self._fold.plan.paused
        inside = bool(held) if paused else segment.truth(self._customer, self._fold.clock.now)
        if inside and held:
            earlier = min(held, key=lambda entry: (entry.entered_at, entry.entry_id))
            members[segment.id] = earlier
            if own is None:
                self._record(segment.id, segment.name, segment.version, "entered", earlier.entry_id)
        elif inside:
            self._enter_combined(segment, merged.entries().get(segment.id))
        else:
            if members.pop(segment.id, None) is not None:
                self._leave_behind(segment.id)
            for entry_id in sorted({entry.entry_id for entry in held}):
                self._record(segment.id, segment.name, segment.version, "exited", entry_id)

    def _enter_combined(self, segment: Segment, entry: Transition | None) -> None:
        """Neither was a member, together they are: an ordinary entry, by the event that decided it. A customer
        who has left before may have had that very entry: it gets one of this record's own, or consumers, who
        know the entry's messageId, would drop it."""
        if entry is not None and segment.id not in self._customer.left:
            entry_id = entry.entry_id
        else:
            entry_id = ids.entry_id(segment.id, segment.version, ids.record_cause(self._profile_id, self._row_seq))
        reason: ChangeReason = "event" if entry is None else entry.reason
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
